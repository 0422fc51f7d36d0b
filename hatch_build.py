"""Build hook: a real wheel carries `datasets/` as `toolkit/_datasets`.

An editable install must not: it would leave a stale copy in site-packages, and the
checkout's folder is right there.
"""

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class DatasetsHook(BuildHookInterface):
    """Add the data sets to standard wheels only."""

    def initialize(self, version, build_data):
        """Called by hatchling before a build."""
        if self.target_name == "wheel" and version == "standard":
            build_data["force_include"]["datasets"] = "toolkit/_datasets"
