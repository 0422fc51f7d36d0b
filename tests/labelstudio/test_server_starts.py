"""The server that the other tests talk to is a real one."""

from __future__ import annotations

from typing import Any

from toolkit.labelstudio.client import Client
from toolkit.labelstudio.config import config_xml
from toolkit.labelstudio.project import find_project, make_project
from toolkit.labelstudio.server import Server
from toolkit.schema import Schema


def test_it_takes_the_interface_of_every_built_in_schema(label_studio: Any) -> None:
    with Client(Server(label_studio.url, label_studio.token)) as client:
        for name in Schema.builtin_names():
            schema = Schema.load(name)
            config = config_xml([schema.coco_category()], schema)

            made = make_project(client, f"takes {name}", config, 1)

            found = find_project(client, f"takes {name}")
            assert found is not None
            assert found.id == made.id
            parsed = found.parsed()
            assert parsed is not None
            assert parsed.points == schema.names
