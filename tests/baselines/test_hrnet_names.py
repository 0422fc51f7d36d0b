"""Published HRNet weights load by name, and give the heatmaps of the network they name.

The reference networks below are written from the published names alone: modules named as in
the original repository, and the same below `backbone.` with mmpose's heads. Nothing of the
product is used to build them.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

import baselines
from baselines.backbones import Backbone, load_pretrained
from baselines.hrnet import HRNetHeatmap
from toolkit.errors import ReadError, UnsafeInputError, UsageError


def unit(inner: int, outer: int, kernel: int, stride: int = 1, *, relu: bool) -> nn.Sequential:
    conv = nn.Conv2d(inner, outer, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(outer), *([nn.ReLU()] if relu else []))


class Block(nn.Module):
    """conv1, bn1, conv2, bn2 (, conv3, bn3), downsample."""

    def __init__(self, inner: int, width: int, kernels: tuple[int, ...], outer: int) -> None:
        super().__init__()
        sides = [inner, *[width] * (len(kernels) - 1), outer]
        for number, kernel in enumerate(kernels, start=1):
            pair = unit(sides[number - 1], sides[number], kernel, relu=False)
            self.add_module(f"conv{number}", pair[0])
            self.add_module(f"bn{number}", pair[1])
        self.count = len(kernels)
        self.downsample = unit(inner, outer, 1, relu=False) if inner != outer else None

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for number in range(1, self.count + 1):
            out = getattr(self, f"bn{number}")(getattr(self, f"conv{number}")(out))
            out = out.relu() if number < self.count else out
        return (out + (x if self.downsample is None else self.downsample(x))).relu()


class Exchange(nn.Module):
    """branches.B.N and fuse_layers.TO.FROM."""

    def __init__(self, widths: list[int], outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(Block(w, w, (3, 3), w) for _ in range(4))) for w in widths
        )
        self.fuse_layers = nn.ModuleList(
            nn.ModuleList(self.path(widths, origin, to) for origin in range(len(widths)))
            for to in range(outputs)
        )

    def path(self, widths: list[int], origin: int, to: int) -> nn.Module | None:
        if origin == to:
            return None
        if origin > to:
            steps = unit(widths[origin], widths[to], 1, relu=False)
            return nn.Sequential(*steps, nn.Upsample(scale_factor=2 ** (origin - to)))
        keep = [
            unit(widths[origin], widths[origin], 3, 2, relu=True)
            for _ in range(to - origin - 1)
        ]
        return nn.Sequential(*keep, unit(widths[origin], widths[to], 3, 2, relu=False))

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        maps = [branch(x) for branch, x in zip(self.branches, maps, strict=True)]
        return [
            sum(x if p is None else p(x) for p, x in zip(row, maps, strict=True)).relu()
            for row in self.fuse_layers
        ]


class Original(nn.Module):
    """PoseHighResolutionNet's names; without `final_layer` where `keypoints` is None."""

    def __init__(self, width: int, keypoints: int | None) -> None:
        super().__init__()
        self.conv1, self.bn1 = unit(3, 64, 3, 2, relu=False)
        self.conv2, self.bn2 = unit(64, 64, 3, 2, relu=False)
        self.layer1 = nn.Sequential(
            *(Block(64 if n == 0 else 256, 64, (1, 3, 1), 256) for n in range(4))
        )
        widths = [width, 2 * width, 4 * width, 8 * width]
        self.transition1 = nn.ModuleList(
            [
                unit(256, width, 3, relu=True),
                nn.Sequential(unit(256, 2 * width, 3, 2, relu=True)),
            ]
        )
        for number, modules in ((2, 1), (3, 4), (4, 3)):
            here = widths[:number]
            last = 1 if number == 4 else number
            outputs = [number] * (modules - 1) + [last]
            stage = nn.Sequential(*(Exchange(here, count) for count in outputs))
            self.add_module(f"stage{number}", stage)
            if number < 4:
                new = nn.Sequential(unit(here[-1], widths[number], 3, 2, relu=True))
                self.add_module(f"transition{number}", nn.ModuleList([None] * number + [new]))
        if keypoints is not None:
            self.final_layer = nn.Conv2d(width, keypoints, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()
        x = self.layer1(x)
        maps = self.stage2([step(x) for step in self.transition1])
        maps = self.stage3([*maps, self.transition2[2](maps[-1])])
        maps = self.stage4([*maps, self.transition3[3](maps[-1])])
        return self.final_layer(maps[0]) if hasattr(self, "final_layer") else maps[0]


class MMPose(nn.Module):
    """backbone.* and HEAD.final_layer.*, the head named as in mmpose 0.x or 1.x."""

    def __init__(self, width: int, keypoints: int, head: str) -> None:
        super().__init__()
        self.backbone = Original(width, None)
        self.add_module(head, nn.Module())
        self.head_name = head
        getattr(self, head).final_layer = nn.Conv2d(width, keypoints, 1)

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self, self.head_name).final_layer(self.backbone(x))


def shaken(network: nn.Module) -> nn.Module:
    """Every weight and statistic at random, so that no two tensors can change places."""
    torch.manual_seed(7)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.0)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
    return network.eval()


@pytest.fixture(scope="module")
def original() -> nn.Module:
    return shaken(Original(32, 17))


@pytest.fixture(scope="module")
def crops() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


@pytest.mark.parametrize(
    ("size", "millions", "gmacs"), [("w32", 28.5, 7.65), ("w48", 63.6, 15.7)]
)
def test_parameters_and_multiplications_are_the_published_ones(
    size: str, millions: float, gmacs: float
) -> None:
    network = HRNetHeatmap(17, backbone=f"hrnet-{size}").eval()

    with FlopCounterMode(display=False) as counter:
        network(torch.zeros(1, 3, 256, 192))

    parameters = sum(p.numel() for p in network.parameters())
    assert parameters / 1e6 == pytest.approx(millions, abs=0.05)
    assert counter.get_total_flops() / 2e9 == pytest.approx(gmacs, abs=0.05)


def test_the_original_names_load_and_give_the_same_heatmaps(
    original: nn.Module, crops: Tensor
) -> None:
    network = baselines.load_hrnet_checkpoint(original.state_dict())

    assert not network.training
    torch.testing.assert_close(network(crops), original(crops))
    assert original(crops).std() > 0.01


@pytest.mark.parametrize(
    ("head", "variant"), [("head", "w32"), ("keypoint_head", "w32"), ("head", "w48")]
)
def test_mmpose_names_load_and_give_the_same_heatmaps(
    head: str, variant: str, crops: Tensor
) -> None:
    reference = shaken(MMPose(int(variant[1:]), 14, head))

    network = baselines.load_hrnet_checkpoint(
        {"meta": {"epoch": 210}, "state_dict": reference.state_dict()}, variant, 14
    )

    torch.testing.assert_close(network(crops), reference(crops))


@pytest.mark.parametrize(
    ("naming", "width"),
    [("original", 32), ("mmpose", 32), ("ours", 32), ("mmpose", 48), ("ours", 48)],
)
def test_a_pose_network_starts_an_encoder_of_four_maps(
    naming: str, width: int, crops: Tensor, tmp_path: Path
) -> None:
    """The layers that fuse the coarser maps, which it does not have, stay at random."""
    reference: nn.Module
    if naming == "ours":
        reference = shaken(HRNetHeatmap(17, backbone=f"hrnet-w{width}"))
        finest = reference.backbone(crops)[0]
    else:
        reference = shaken(
            Original(width, 17) if naming == "original" else MMPose(width, 17, "head")
        )
        bare = reference.backbone if naming == "mmpose" else reference
        kept, bare.final_layer = getattr(bare, "final_layer", None), nn.Identity()
        finest = bare(crops)
        bare.final_layer = kept
    state = {key: value for key, value in reference.state_dict().items() if value.dim()}
    save_file(state, tmp_path / "pose.safetensors")
    encoder = Backbone(f"hrnet-w{width}").eval()
    before = {key: value.clone() for key, value in encoder.state_dict().items()}

    load_pretrained(encoder, str(tmp_path / "pose.safetensors"))

    torch.testing.assert_close(encoder(crops)[0], finest)
    coarser = tuple(f"net.stage4.2.fuse_layers.{row}." for row in (1, 2, 3))
    for key, value in encoder.state_dict().items():
        if value.dim() and key.endswith("weight"):
            assert torch.equal(value, before[key]) == key.startswith(coarser), key


@pytest.mark.parametrize(
    "left_out", ["stage4.2.fuse_layers.0.1.0.weight", "stage4.1.fuse_layers.1.0.0.0.weight"]
)
def test_an_encoder_misses_no_other_layer(
    original: nn.Module, left_out: str, tmp_path: Path
) -> None:
    state = {key: value for key, value in original.state_dict().items() if key != left_out}
    save_file(state, tmp_path / "pose.safetensors")

    with pytest.raises(ReadError, match=rf"'{left_out}'.* no such tensor \(1 of"):
        load_pretrained(Backbone("hrnet-w32"), str(tmp_path / "pose.safetensors"))


def test_an_encoder_takes_the_coarser_fusions_whole_or_not_at_all(tmp_path: Path) -> None:
    left_out = "stage4.2.fuse_layers.3.0.0.0.weight"
    state = Backbone("hrnet-w32").net.state_dict()
    del state[left_out]
    save_file(state, tmp_path / "cut.safetensors")

    with pytest.raises(ReadError, match=rf"'{left_out}'.* no such tensor \(1 of"):
        load_pretrained(Backbone("hrnet-w32"), str(tmp_path / "cut.safetensors"))


def test_the_wide_variant_loads_as_well(crops: Tensor) -> None:
    reference = shaken(Original(48, 17))

    network = baselines.load_hrnet_checkpoint(reference.state_dict(), variant="w48")

    torch.testing.assert_close(network(crops), reference(crops))


def test_the_order_of_names_says_nothing_and_swapped_tensors_are_seen(
    original: nn.Module, crops: Tensor
) -> None:
    state = original.state_dict()
    one, other = "stage3.2.branches.0.1.conv1.weight", "stage3.2.branches.0.2.conv1.weight"
    swapped = {**state, one: state[other], other: state[one]}

    backwards = baselines.load_hrnet_checkpoint(dict(reversed(state.items())))
    wrong = baselines.load_hrnet_checkpoint(swapped)

    torch.testing.assert_close(backwards(crops), original(crops))
    assert not torch.allclose(wrong(crops), original(crops))


@pytest.mark.parametrize(
    "wrap",
    [
        "module", "lightning", "no counters", "ema prefix", "ema beside", "mmengine ema",
        "timm ema", "preprocessor",
    ],
)  # fmt: skip
def test_wrappings_of_training_loops_are_taken_off(
    wrap: str, original: nn.Module, crops: Tensor
) -> None:
    state = original.state_dict()
    wrapped = {
        "module": {f"module.{key}": value for key, value in state.items()},
        "lightning": {"state_dict": {f"model.{k}": v for k, v in state.items()}, "epoch": 3},
        "no counters": {k: v for k, v in state.items() if "num_batches" not in k},
        "ema prefix": {f"ema_model.module.{key}": value for key, value in state.items()},
        "ema beside": {f"ema.{key}": value for key, value in state.items()}
        | {f"model.{key}": value + 1 for key, value in state.items()},
        "mmengine ema": {
            "ema_state_dict": {f"module.{k}": v for k, v in state.items()}
            | {"steps": torch.tensor(9)}
        },
        "timm ema": {"state_dict_ema": state, "epoch": 3},
        "preprocessor": {**state, "data_preprocessor.mean": torch.zeros(3)},
    }[wrap]

    network = baselines.load_hrnet_checkpoint(wrapped)

    torch.testing.assert_close(network(crops), original(crops))


def test_what_does_not_fit_is_named(original: nn.Module) -> None:
    state = original.state_dict()
    lacking = {k: v for k, v in state.items() if k != "stage4.2.fuse_layers.0.3.0.weight"}
    cases = [
        (lacking, "lacks 'stage4.2.fuse_layers.0.3.0.weight': neither"),
        ({**state, "extra.weight": torch.zeros(1)}, "has unknown 'extra.weight'"),
        ({**state, "incre_modules.0.weight": torch.zeros(1)}, "an ImageNet classifier"),
        ({}, r"lacks 'conv1.weight', 'bn1.weight', 'bn1.bias' and \d+ more"),
        ({"epoch": 3}, "'epoch' is a int; expected tensors by name"),
        ({"state_dict": 3}, "'state_dict' is a int"),
        ({**state, "bn1.bias": torch.full((64,), torch.nan)}, "'bn1.bias' holds values"),
    ]
    for wrong, message in cases:
        with pytest.raises(ReadError, match=message) as raised:
            baselines.load_hrnet_checkpoint(wrong)
        assert raised.value.exit_code == 3


def test_another_size_is_refused_with_the_arguments_that_fit(original: nn.Module) -> None:
    state = original.state_dict()

    with pytest.raises(ReadError, match=r"try variant='w32', num_keypoints=17"):
        baselines.load_hrnet_checkpoint(state, variant="w48")
    with pytest.raises(ReadError, match=r"'final_layer.weight' has shape \(17, 32, 1, 1\)"):
        baselines.load_hrnet_checkpoint(state, num_keypoints=20)
    with pytest.raises(UsageError, match="no published HRNet 'w18'; known: w32, w48"):
        baselines.load_hrnet_checkpoint(state, variant="w18")


def test_files_load_from_safetensors_and_when_asked_from_torch(
    original: nn.Module, crops: Tensor, tmp_path: Path
) -> None:
    state = original.state_dict()
    save_file(state, tmp_path / "pose.safetensors")
    torch.save({"state_dict": state, "meta": {"epoch": 210}}, tmp_path / "pose.pth")

    safe = baselines.load_hrnet_checkpoint(tmp_path / "pose.safetensors")
    with pytest.raises(
        UnsafeInputError, match=r"'toolkit adopt MODEL FILE --allow-pickle' read"
    ):
        baselines.load_hrnet_checkpoint(tmp_path / "pose.pth")
    asked = baselines.load_hrnet_checkpoint(str(tmp_path / "pose.pth"), allow_pickle=True)

    torch.testing.assert_close(safe(crops), original(crops))
    torch.testing.assert_close(asked(crops), original(crops))


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("kind", ["torch", "pickle"])
def test_a_malicious_pickle_is_refused_and_its_payload_never_runs(
    kind: str, tmp_path: Path
) -> None:
    path, mark = tmp_path / "evil.pth", tmp_path / "ran"
    if kind == "torch":
        torch.save({"state_dict": Payload(mark)}, path)
    else:
        path.write_bytes(pickle.dumps(Payload(mark)))

    for allow in (False, True):
        with pytest.raises(UnsafeInputError, match=r"evil\.pth: refused") as raised:
            baselines.load_hrnet_checkpoint(path, allow_pickle=allow)
        assert raised.value.exit_code == 4
    assert not mark.exists()
    pickle.loads(pickle.dumps(Payload(mark)))  # the payload does work
    assert mark.exists()


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_a_cut_file_is_named(suffix: str, original: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / f"cut.{suffix}"
    if suffix == "pth":
        torch.save(original.state_dict(), path)
    else:
        save_file(original.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-1000])

    with pytest.raises(ReadError, match=r"cut\.\w+: not a whole .* fetch"):
        baselines.load_hrnet_checkpoint(path, allow_pickle=True)
    with pytest.raises(ReadError, match=r"absent\.pth"):
        baselines.load_hrnet_checkpoint(tmp_path / "absent.pth", allow_pickle=True)
