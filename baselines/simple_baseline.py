"""SimpleBaseline: a ResNet, three deconvolutions, one map for each keypoint.

Source: Xiao, Wu, Wei, "Simple Baselines for Human Pose Estimation and Tracking", ECCV 2018.
At 256x192 with ResNet-50: 34.0 M parameters, 5.4 GMACs. Modules
carry the names of the original repository (`deconv_layers`, `final_layer`), so that its and
mmpose's weights load by `baselines.hrnet_names`.
"""

from __future__ import annotations

from torch import Tensor, nn

from baselines.backbones import Backbone

WIDTH = 256


class SimpleBaseline(nn.Module):
    """Top-down heatmap network on the last map of a backbone.

    Args:
        num_keypoints: K.
        backbone: One of `baselines.backbones.BACKBONES`.
    """

    def __init__(self, num_keypoints: int, *, backbone: str = "resnet50") -> None:
        """Build backbone and head, initialised as in the original."""
        super().__init__()
        self.backbone = Backbone(backbone)
        layers: list[nn.Module] = []
        inner = self.backbone.channels[-1]
        for _ in range(3):
            layers += [
                nn.ConvTranspose2d(inner, WIDTH, 4, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(WIDTH),
                nn.ReLU(inplace=True),
            ]
            nn.init.normal_(layers[-3].weight, std=0.001)  # type: ignore[arg-type]
            inner = WIDTH
        self.deconv_layers = nn.Sequential(*layers)
        self.final_layer = nn.Conv2d(WIDTH, num_keypoints, 1)
        nn.init.normal_(self.final_layer.weight, std=0.001)
        if self.final_layer.bias is not None:
            nn.init.zeros_(self.final_layer.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Heatmaps of normalised images.

        Args:
            images: (B, 3, H, W).

        Returns:
            (B, K, H / 4, W / 4), unbounded.
        """
        last = self.backbone(images)[-1]  # (B, C, H/32, W/32)
        maps: Tensor = self.final_layer(self.deconv_layers(last))
        return maps
