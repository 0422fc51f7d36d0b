"""Label Studio as a labelling desk: interface, tasks out, annotations home.

`config` writes the labelling interface of a schema. `push` sends a data set's frames as tasks
with pre-annotations, `pull` brings annotations home; both talk to a server through `client`.
What a task looks like, and how one becomes COCO again, is `toolkit.formats.labelstudio`.
"""
