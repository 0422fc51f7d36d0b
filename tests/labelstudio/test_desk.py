"""Out to a real Label Studio, a person's edits, and home: every edit and nothing else."""

from __future__ import annotations

import copy
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from toolkit.labelstudio.client import Client
from toolkit.labelstudio.project import find_project, tasks_in
from toolkit.labelstudio.server import Server

Run = Callable[..., Any]


@pytest.fixture
def client(label_studio: Any) -> Iterator[Client]:
    with Client(Server(label_studio.url, label_studio.token)) as opened:
        yield opened


@pytest.fixture
def run(
    toolkit_cli: Callable[..., Any], label_studio: Any, monkeypatch: pytest.MonkeyPatch
) -> Run:
    """`toolkit labelstudio ...` with the server in the environment; gives its JSON."""
    monkeypatch.setenv("LABEL_STUDIO_URL", label_studio.url)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", label_studio.token)

    def call(*words: object) -> dict[str, Any]:
        result = toolkit_cli("labelstudio", *words, "--json")
        assert label_studio.token not in result.stdout + result.stderr
        assert result.exit_code == 0, result.stderr
        found: dict[str, Any] = json.loads(result.stdout)
        return found

    return call


def tasks_of(client: Client, title: str) -> list[dict[str, Any]]:
    project = find_project(client, title)
    assert project is not None
    return list(tasks_in(client, project.id, whole=True))


def submit(
    client: Client, task: dict[str, Any], result: list[dict[str, Any]], **more: object
) -> dict[str, Any]:
    """What the browser sends when a person presses Submit."""
    body = {"result": result, "lead_time": 12.5, "parent_prediction": None, **more}
    found: dict[str, Any] = client.post(f"/api/tasks/{task['id']}/annotations/", body)
    return found


def predicted(task: dict[str, Any]) -> list[dict[str, Any]]:
    assert len(task["predictions"]) == 1
    result: list[dict[str, Any]] = copy.deepcopy(task["predictions"][0]["result"])
    return result


def region(result: list[dict[str, Any]], key: str, name: str) -> dict[str, Any]:
    found = [r for r in result if r["id"] == key and r["from_name"] == name]
    assert len(found) == 1, (key, name)
    return found[0]


def test_frames_go_out_nested_under_their_people_and_padded_where_needed(
    run: Run, client: Client, clip: Any
) -> None:
    said = run("push", clip.file, "--images", clip.images, "--project", "shape")

    tasks = tasks_of(client, "shape")
    document = clip.document()
    assert (said["tasks"], said["created"], len(tasks)) == (3, 3, 3)
    for task, count in zip(tasks, (1, 3, 6), strict=True):
        result = predicted(task)
        boxes = {r["id"] for r in result if r["type"] == "rectanglelabels"}
        points = [r for r in result if r["type"] == "keypointlabels"]
        assert len(boxes) == count
        assert {r["parentID"] for r in points} == boxes
        assert len(points) == 20 * count
        ids = [r["value"]["text"] for r in result if r["type"] == "textarea"]
        own = document["images"][tasks.index(task)]["id"]
        people = [a for a in document["annotations"] if a["image_id"] == own]
        assert ids == [[str(person["id"])] for person in people]
    assert "padding" not in tasks[0]["data"]
    assert tasks[1]["data"]["padding"]["left"] >= 32
    for task in tasks[1:]:
        places = [r["value"] for r in predicted(task)]
        assert all(0 <= value["x"] <= 100 and 0 <= value["y"] <= 100 for value in places)


def test_what_a_person_changed_comes_home_and_nothing_else(
    run: Run, client: Client, clip: Any, tmp_path: Path
) -> None:
    run("push", clip.file, "--images", clip.images, "--project", "edits")
    before = clip.document()
    people = before["annotations"]
    tasks = tasks_of(client, "edits")
    names = before["categories"][0]["keypoints"]
    toe, heel, nose = (names.index(n) for n in ("stick_toe", "stick_heel", "nose"))

    # Frame 1: the heel is dragged; the toe is hidden behind the boards.
    first = predicted(tasks[0])
    region(first, f"p0k{heel}", "keypoints")["value"] |= {"x": 25.0, "y": 50.0}
    region(first, f"p0k{toe}", "visibility")["value"]["choices"] = ["occluded"]
    # Frame 2, with a margin: a point is moved beyond the picture, a box is drawn anew, one
    # point is taken away, another is said to be absent.
    second = predicted(tasks[1])
    padding = tasks[1]["data"]["padding"]
    wide = region(second, "p1", "box")["original_width"]
    high = region(second, "p1", "box")["original_height"]
    region(second, f"p1k{heel}", "keypoints")["value"]["x"] = 1.0
    region(second, "p2", "box")["value"] |= {
        "x": 40.0,
        "y": 41.0,
        "width": 10.0,
        "height": 20.0,
    }
    second = [r for r in second if r["id"] != f"p3k{nose}"]
    region(second, f"p3k{toe}", "visibility")["value"]["choices"] = ["absent"]
    # Frame 3: confirmed as it is, but one player more, with a box and a nose.
    third = predicted(tasks[2])
    box = copy.deepcopy(region(third, "p4", "box"))
    box |= {"id": "NEW1"}
    box["value"] |= {"x": 50.0, "y": 50.0, "width": 5.0, "height": 10.0}
    dot = copy.deepcopy(region(third, f"p4k{nose}", "keypoints"))
    dot |= {"id": "NEW2", "parentID": "NEW1"}
    dot["value"] |= {"x": 52.0, "y": 51.0}
    for task, result in zip(tasks, (first, second, [*third, box, dot]), strict=True):
        submit(client, task, result)

    out, based = tmp_path / "home.json", tmp_path / "based.json"
    said = run("pull", "--project", "edits", "--out", out)
    run("pull", "--project", "edits", "--out", based, "--base", clip.file)

    home = json.loads(out.read_text("utf-8"))
    assert (said["annotated"], said["annotations"], said["findings"]) == (3, 3, [])
    expected = copy.deepcopy(before)
    own = expected["annotations"]
    size = expected["images"][0]["width"], expected["images"][0]["height"]
    own[0]["keypoints"][3 * heel : 3 * heel + 2] = [0.25 * size[0], 0.5 * size[1]]
    own[0]["keypoints"][3 * toe + 2] = 1
    own[1]["keypoints"][3 * heel] = 0.01 * wide - padding["left"]
    own[2]["bbox"] = [
        0.4 * wide - padding["left"], 0.41 * high - padding["top"], 0.1 * wide, 0.2 * high
    ]  # fmt: skip
    own[3]["keypoints"][3 * nose : 3 * nose + 3] = [0, 0, 0]
    own[3]["keypoints"][3 * toe : 3 * toe + 3] = [0, 0, 0]
    own[3]["num_keypoints"] = 18
    assert own[1]["keypoints"][3 * heel] < 0
    for got, wanted in zip(home["annotations"], own, strict=False):
        provenance = got.pop("labelstudio")
        assert provenance["completed_by"] == 1
        assert provenance["created_at"].startswith("20")
        close(got, wanted)
    added = home["annotations"][len(own) :]
    assert len(added) == 1
    assert added[0]["image_id"] == before["images"][2]["id"]
    assert added[0]["id"] == 1 + max(person["id"] for person in people)
    assert added[0]["num_keypoints"] == 1
    assert {k: v for k, v in home.items() if k != "annotations"} == {
        k: v for k, v in expected.items() if k != "annotations"
    }
    # Onto the file itself: the same, and every untouched byte.
    onto = json.loads(based.read_text("utf-8"))
    for record in onto["annotations"]:
        record.pop("labelstudio")
    added[0].pop("labelstudio")
    assert onto == home
    assert "40.06250" in based.read_text("utf-8")
    assert based.read_bytes().startswith(clip.file.read_bytes()[:400])


def close(got: Any, wanted: Any) -> None:
    """Equal, numbers to 1e-6."""
    if isinstance(wanted, dict):
        assert list(got) == list(wanted)
        for key in wanted:
            close(got[key], wanted[key])
    elif isinstance(wanted, list):
        assert len(got) == len(wanted)
        for one, other in zip(got, wanted, strict=True):
            close(one, other)
    elif isinstance(wanted, float) or isinstance(got, float):
        assert abs(got - wanted) <= 1e-6
    else:
        assert got == wanted


def test_confirmed_labels_come_home_as_they_were_sent_to_the_last_bit(
    run: Run, client: Client, clip: Any, tmp_path: Path
) -> None:
    run("push", clip.file, "--images", clip.images, "--project", "confirmed", "--pad", "all")
    for task in tasks_of(client, "confirmed"):
        submit(client, task, predicted(task))

    run("pull", "--project", "confirmed", "--out", tmp_path / "home.json")

    home = json.loads((tmp_path / "home.json").read_text("utf-8"))
    for record in home["annotations"]:
        del record["labelstudio"]
    assert home == clip.document()


def test_pushing_again_changes_nothing_and_a_change_updates_only_its_task(
    run: Run, client: Client, clip: Any
) -> None:
    words = ("push", clip.file, "--images", clip.images, "--project", "again")
    run(*words)
    uploads = client.get(
        f"/api/projects/{tasks_of(client, 'again')[0]['project']}/file-uploads", all="true"
    )

    second = run(*words)
    document = clip.document()
    document["annotations"][4]["keypoints"][0] += 1.5
    clip.file.write_text(json.dumps(document), "utf-8")
    third = run(*words)

    assert (second["created"], second["updated"], second["unchanged"]) == (0, 0, 3)
    assert (third["created"], third["updated"], third["unchanged"]) == (0, 1, 2)
    tasks = tasks_of(client, "again")
    assert len(tasks) == 3
    assert [len(task["predictions"]) for task in tasks] == [1, 1, 1]
    at = region(predicted(tasks[2]), "p4k0", "keypoints")
    left = tasks[2]["data"].get("padding", {}).get("left", 0)
    place = at["value"]["x"] * at["original_width"] / 100 - left
    assert place == pytest.approx(document["annotations"][4]["keypoints"][0], abs=1e-6)
    project = tasks[0]["project"]
    assert len(client.get(f"/api/projects/{project}/file-uploads", all="true")) == len(uploads)


def test_a_task_that_somebody_has_worked_on_stays_as_it_is(
    run: Run, client: Client, clip: Any, tmp_path: Path
) -> None:
    words = ("push", clip.file, "--images", clip.images, "--project", "touched")
    run(*words)
    original = clip.document()
    task = tasks_of(client, "touched")[0]
    submit(client, task, predicted(task))
    document = clip.document()
    for person in document["annotations"]:
        person["keypoints"][0] += 3
    clip.file.write_text(json.dumps(document), "utf-8")

    said = run(*words)

    assert (said["kept"], said["updated"]) == (1, 2)
    run("pull", "--project", "touched", "--out", tmp_path / "home.json")
    home = json.loads((tmp_path / "home.json").read_text("utf-8"))
    assert home["annotations"][0]["keypoints"] == original["annotations"][0]["keypoints"]
    # Onto the file as it is now: nothing was changed by a person, so its later state stays.
    run("pull", "--project", "touched", "--out", tmp_path / "onto.json", "--base", clip.file)
    onto = json.loads((tmp_path / "onto.json").read_text("utf-8"))
    assert onto["annotations"][0]["keypoints"] == document["annotations"][0]["keypoints"]


def test_two_annotators_of_one_task_stay_apart(
    run: Run, client: Client, clip: Any, tmp_path: Path
) -> None:
    other = client.post(
        "/api/users/",
        {
            "email": f"other{time.time_ns()}@example.com",
            "username": "o",
            "password": "other-1234",
        },
    )["id"]
    run("push", clip.file, "--images", clip.images, "--project", "double", "--annotators", 2)
    tasks = tasks_of(client, "double")
    assert {task["overlap"] for task in tasks} == {2}
    for task in tasks:
        submit(client, task, predicted(task))
        moved = predicted(task)
        for each in moved:
            if each["from_name"] == "keypoints":
                each["value"]["x"] += 0.1
        submit(client, task, moved, completed_by=other)

    said = run("pull", "--project", "double", "--out", tmp_path / "home.json")

    home = json.loads((tmp_path / "home.json").read_text("utf-8"))["annotations"]
    assert said["annotators"] == {"1": 3, str(other): 3}
    assert len({person["id"] for person in home}) == len(home) == 20
    by = {
        who: [a for a in home if a["labelstudio"]["completed_by"] == who] for who in (1, other)
    }
    before = clip.document()["annotations"]
    assert [a["keypoints"] for a in by[1]] == [a["keypoints"] for a in before]
    for one, two in zip(by[1], by[other], strict=True):
        assert two["keypoints"][0] > one["keypoints"][0]
        assert two["bbox"] == one["bbox"]


def test_where_two_annotators_differ_goes_back_for_adjudication(
    run: Run, client: Client, clip: Any, tmp_path: Path, toolkit_cli: Run
) -> None:
    other = client.post(
        "/api/users/",
        {
            "email": f"third{time.time_ns()}@example.com",
            "username": "t",
            "password": "other-1234",
        },
    )["id"]
    run("push", clip.file, "--images", clip.images, "--project", "two of them")
    for number, task in enumerate(tasks_of(client, "two of them")):
        submit(client, task, predicted(task))
        theirs = predicted(task)
        if number == 1:
            region(theirs, "p2k0", "keypoints")["value"]["x"] += 6.0
        submit(client, task, theirs, completed_by=other)
    both, again, agreed = (tmp_path / f"{name}.json" for name in ("both", "again", "agreed"))
    run("pull", "--project", "two of them", "--out", both)
    measured = toolkit_cli(
        "agreement", both, "--queue", again, "--consensus", agreed, "--limit", 1
    )
    assert measured.exit_code == 0, measured.stderr

    said = run(
        "push", agreed, "--images", clip.images, "--project", "adjudication", "--queue", again
    )

    assert said["tasks"] == 1
    (task,) = tasks_of(client, "adjudication")
    worst = clip.document()["annotations"][2]
    assert task["data"]["note"].startswith(f"Person {worst['id']}: ")
    at = region(predicted(task), "p2k0", "keypoints")
    moved = 0.06 * at["original_width"]
    place = at["value"]["x"] * at["original_width"] / 100 - task["data"]["padding"]["left"]
    assert place == pytest.approx(worst["keypoints"][0] + moved / 2, abs=1e-6)


def test_a_push_that_is_killed_is_completed_by_running_it_again(
    run: Run, client: Client, label_studio: Any, tmp_path: Path, toolkit_cli: Run
) -> None:
    folder = tmp_path / "many"
    made = toolkit_cli("synth", "coco", folder, "--instances", 240, "--seed", 5)
    assert made.exit_code == 0
    file = folder / "annotations.json"
    frames = len(json.loads(file.read_text("utf-8"))["images"])
    assert frames >= 30
    words = ["push", str(file), "--images", str(folder / "images"), "--project", "killed"]
    command = [sys.executable, "-m", "toolkit", "labelstudio", *words]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    there = 0
    end = time.monotonic() + 120
    while time.monotonic() < end and process.poll() is None:
        project = find_project(client, "killed")
        there = project.tasks if project is not None else 0
        if 0 < there < frames:
            os.kill(process.pid, signal.SIGKILL)
            break
        time.sleep(0.02)
    assert process.wait(30) == -signal.SIGKILL
    assert 0 < there < frames

    said = run(*words)

    tasks = tasks_of(client, "killed")
    keys = {task["data"]["toolkit_key"] for task in tasks}
    assert len(tasks) == len(keys) == said["tasks"] == frames
    assert said["created"] < frames
    assert all(len(task["predictions"]) == 1 for task in tasks)


def test_a_second_task_of_a_frame_is_removed_if_nobody_touched_it(
    run: Run, client: Client, clip: Any
) -> None:
    words = ("push", clip.file, "--images", clip.images, "--project", "doubled")
    run(*words)
    task = tasks_of(client, "doubled")[0]
    client.post(f"/api/projects/{task['project']}/import", [{"data": task["data"]}], once=True)
    assert len(tasks_of(client, "doubled")) == 4

    said = run(*words)

    assert said["removed"] == 1
    assert len(tasks_of(client, "doubled")) == 3


def test_a_personal_access_token_works_as_the_legacy_one_does(
    run: Run, client: Client, clip: Any, toolkit_cli: Run
) -> None:
    run("push", clip.file, "--images", clip.images, "--project", "personal")
    token = client.post("/api/token/")["token"]

    result = toolkit_cli(
        "labelstudio", "push", clip.file, "--images", clip.images, "--project", "personal",
        "--token", token, "--json",
    )  # fmt: skip

    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout)["unchanged"] == 3
    assert token not in result.stdout + result.stderr


def test_pictures_in_a_served_folder_are_shown_from_there(
    run: Run, client: Client, clip: Any, label_studio: Any
) -> None:
    import shutil

    import httpx

    folder = label_studio.files / "clip"
    shutil.copytree(clip.images, folder)

    run(
        "push",
        clip.file,
        "--images",
        folder,
        "--project",
        "served",
        "--local-files",
        label_studio.files,
    )

    tasks = tasks_of(client, "served")
    headers = {"Authorization": f"Token {label_studio.token}"}
    for task in tasks:
        assert task["data"]["image"].startswith("/data/local-files/?d=")
        answer = httpx.get(label_studio.url + task["data"]["image"], headers=headers)
        assert answer.status_code == 200
        assert answer.headers["content-type"] in ("image/jpeg", "image/png")
    name = clip.document()["images"][0]["file_name"]
    assert (
        httpx.get(label_studio.url + tasks[0]["data"]["image"], headers=headers).content
        == (clip.images / name).read_bytes()
    )


def test_predictions_are_shown_in_place_of_labels_with_their_scores(
    run: Run, client: Client, clip: Any, tmp_path: Path
) -> None:
    document = clip.document()
    results = []
    for person in document["annotations"]:
        points = list(person["keypoints"])
        points[0::3] = [x + 0.5 for x in points[0::3]]
        results.append(
            {
                "image_id": person["image_id"],
                "category_id": 1,
                "annotation_id": person["id"],
                "keypoints": points,
                "score": 0.5,
                "keypoint_scores": [0.25] * 20,
            }
        )
    file = tmp_path / "predictions.json"
    file.write_text(json.dumps(results[:-1]), "utf-8")

    run(
        "push", clip.file, "--images", clip.images, "--project", "scored", "--predictions", file
    )

    tasks = tasks_of(client, "scored")
    prediction = tasks[0]["predictions"][0]
    assert prediction["score"] == 0.5
    assert region(prediction["result"], "p0k0", "keypoints")["score"] == 0.25
    submit(client, tasks[0], prediction["result"])
    run("pull", "--project", "scored", "--out", tmp_path / "home.json")
    home = json.loads((tmp_path / "home.json").read_text("utf-8"))["annotations"]
    wanted = dict(document["annotations"][0], keypoints=results[0]["keypoints"])
    home[0].pop("labelstudio")
    close(home[0], wanted)
    # Whom the model did not see is shown as labelled.
    last = region(predicted(tasks[2]), "p9k0", "keypoints")
    assert "score" not in last


def test_a_model_can_be_run_while_pushing(run: Run, client: Client, clip: Any) -> None:
    run(
        "push", clip.file, "--images", clip.images, "--project", "on the spot",
        "--preannotate", "mean-pose", "--pad", "all",
    )  # fmt: skip

    tasks = tasks_of(client, "on the spot")
    assert [t["predictions"][0]["model_version"] for t in tasks] == ["toolkit mean-pose"] * 3
    at = region(predicted(tasks[0]), "p0k0", "keypoints")
    left = tasks[0]["data"]["padding"]["left"]
    nose = at["value"]["x"] * at["original_width"] / 100 - left
    x, _, width, _ = clip.document()["annotations"][0]["bbox"]
    assert x < nose < x + width
    assert "score" in at


def test_a_queue_pushes_its_frames_and_says_what_to_look_at(
    run: Run, client: Client, clip: Any, tmp_path: Path
) -> None:
    people = clip.document()["annotations"]
    queue = {
        "queue": [
            {"image_id": people[5]["image_id"], "annotation_id": people[5]["id"], "score": 9.0,
             "reason": "stray <heel>"},
            {"image_id": people[6]["image_id"], "annotation_id": people[6]["id"], "score": 8.0,
             "why": ["far apart", "flags"]},
            {"image_id": people[0]["image_id"], "annotation_id": people[0]["id"], "score": 1.0},
        ]
    }  # fmt: skip
    file = tmp_path / "queue.json"
    file.write_text(json.dumps(queue), "utf-8")
    words = ("push", clip.file, "--images", clip.images, "--queue", file)

    two = run(*words, "--project", "queued", "--top", 2)
    everything = run(*words, "--project", "queued")

    assert (two["tasks"], everything["tasks"], everything["created"]) == (1, 2, 1)
    notes = {t["data"]["toolkit_key"]: t["data"]["note"] for t in tasks_of(client, "queued")}
    ids = [people[row]["id"] for row in (5, 6, 0)]
    assert sorted(notes.values()) == sorted(
        [
            f"Person {ids[0]}: stray <heel> | Person {ids[1]}: far apart; flags",
            f"Person {ids[2]}",
        ]
    )


def test_a_queue_of_another_file_is_refused(
    toolkit_cli: Run, clip: Any, label_studio: Any, tmp_path: Path
) -> None:
    file = tmp_path / "queue.json"
    file.write_text(json.dumps({"queue": [{"annotation_id": 10**9, "score": 1}]}), "utf-8")

    result = toolkit_cli(
        "labelstudio", "push", clip.file, "--images", clip.images, "--queue", file,
        "--project", "wrong", "--url", label_studio.url, "--token", label_studio.token,
    )  # fmt: skip

    assert result.exit_code == 1
    assert "is it a queue of another file?" in result.stderr


def test_an_interface_without_our_controls_is_named(
    toolkit_cli: Run, client: Client, clip: Any, label_studio: Any
) -> None:
    from toolkit.labelstudio.project import make_project

    other = (
        '<View><Image name="image" value="$image"/><RectangleLabels name="box" toName="image">'
    )
    other += '<Label value="person"/></RectangleLabels></View>'
    made = make_project(client, "foreign", other, 1)
    task = [{"data": {"image": "http://127.0.0.1/a.jpg"}}]
    client.post(f"/api/projects/{made.id}/import", task, once=True)

    result = toolkit_cli(
        "labelstudio", "push", clip.file, "--images", clip.images, "--project", made.id,
        "--url", label_studio.url, "--token", label_studio.token,
    )  # fmt: skip

    assert result.exit_code == 1
    assert "its labelling interface lacks instance, keypoints, visibility" in result.stderr


def test_orphans_are_reported_and_placed_by_geometry(
    run: Run, client: Client, clip: Any, tmp_path: Path
) -> None:
    run("push", clip.file, "--images", clip.images, "--project", "orphans")
    task = tasks_of(client, "orphans")[0]
    result = [
        {k: v for k, v in r.items() if k != "parentID"} | {"id": f"x{r['id']}"}
        for r in predicted(task)
        if r["id"] in ("p0", "p0k0")
    ]
    submit(client, task, result)

    said = run("pull", "--project", "orphans", "--out", tmp_path / "home.json")

    assert len(said["orphans"]) == 1
    assert "no parent and no relation; given to the" in said["orphans"][0]
