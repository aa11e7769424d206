"""One call of every public op, loss, metric and network, with inputs that can be moved: what a GPU is asked to repeat.

``tests/test_gpu.py`` runs the cases on the CPU, on a GPU that is none (shapes and devices alone) and, where there is
one, on a GPU, whose answers must be those of the CPU. It also fails when a public function or network has no case.
"""

import copy
import dataclasses
import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from coursekit import losses
from coursekit.flow import colour, local, pyramid, variational
from coursekit.metrics import (
    detection,
    froc,
    instances,
    matching,
    motion,
    overlap,
    regression,
    rle,
    roc,
    surface,
    temporal,
)
from coursekit.models import (
    echo,
    efficientnet_lite,
    inception,
    nodule,
    rcnn,
    recurrent,
    refine,
    rpn,
    style,
    unet,
    video,
    views,
)
from coursekit.models import pyramid as features
from coursekit.ops import boxes, conv, inflate, nms, paste, roi, warp
from coursekit.testing import generator

ROOMS = ("ops", "losses", "metrics", "flow", "models")
ON_THE_DEVICE = "on the device"  # stands for the device's name among a case's arguments


@dataclasses.dataclass(frozen=True)
class Seeded:
    """Stands for a generator among a case's arguments: each call gets a new one."""

    seed: int


@dataclasses.dataclass(frozen=True, eq=False)
class Case:
    """A call of ``function``. ``comes_back``: its answer is on the CPU by what it promises."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    comes_back: bool = False

    def fresh(self) -> "Case":
        """The same case with tensors and networks of its own, which a call may move or change."""
        return dataclasses.replace(self, args=copy.deepcopy(self.args), kwargs=copy.deepcopy(self.kwargs))

    def __call__(self, device: str, to: Callable[[Any], Any]) -> Any:
        """The answer, with every tensor and network moved by ``to``."""
        args, kwargs = moved((self.args, self.kwargs), device, to)
        return self.function(*args, **kwargs)


def moved(tree: Any, device: str, to: Callable[[Any], Any]) -> Any:
    """``tree`` with its tensors and networks moved, its generators made, the device named."""
    if isinstance(tree, nn.Module | Tensor):
        return to(tree)
    if isinstance(tree, Seeded):
        return generator(tree.seed)
    if isinstance(tree, str):
        return device if tree == ON_THE_DEVICE else tree
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        return type(tree)(*(moved(x, device, to) for x in tree))
    if isinstance(tree, tuple | list):
        return type(tree)(moved(x, device, to) for x in tree)
    if isinstance(tree, dict):
        return {key: moved(x, device, to) for key, x in tree.items()}
    return tree


def leaves(tree: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    """Every tensor, array, number and string of an answer, with the way to it."""
    if dataclasses.is_dataclass(tree):
        parts: Any = {f.name: getattr(tree, f.name) for f in dataclasses.fields(tree)}
    elif isinstance(tree, nn.Module):
        parts = tree.state_dict()
    elif isinstance(tree, Mapping):
        parts = tree
    elif isinstance(tree, Sequence) and not isinstance(tree, str | bytes):
        parts = dict(enumerate(tree))
    else:
        yield place, tree
        return
    for key, part in parts.items():
        yield from leaves(part, f"{place}.{key}")


def random(seed: int, *size: int) -> Tensor:
    return torch.rand(*size, generator=generator(seed))


def some_boxes(count: int) -> Tensor:
    corner = random(0, count, 2) * 40
    return torch.cat([corner, corner + 1 + random(1, count, 2) * 20], 1)


def events(seed: int, count: int) -> Tensor:
    return (random(seed, count, 2) * 20).sort(1).values


BOXES, SCORES, LABELS = some_boxes(60), random(2, 60), torch.arange(60) % 3
CHARTS = torch.randn(2, 3, 16, 20, generator=generator(3))  # two images' feature maps
IMAGE, VOLUME = random(5, 2, 1, 20, 24), random(6, 2, 1, 8, 9, 10)
FLOW, FLOW3 = random(7, 2, 2, 20, 24) * 4 - 2, random(8, 2, 3, 8, 9, 10) * 2 - 1
MASKS = random(9, 4, 12, 14) > 0.4
LOGITS, TRUTH = torch.randn(2, 3, 6, 6, generator=generator(10)), torch.arange(72).reshape(2, 6, 6) % 4 - 1
TABLE = random(11, 8, 9)
CELLS = (torch.arange(2 * 16 * 16).reshape(2, 16, 16) % 16 // 7 == torch.tensor([0, 1])[:, None, None]).bool()
LABEL_MAP, OTHER_MAP = torch.arange(48).reshape(6, 8) // 12, torch.arange(48).reshape(6, 8) % 8 // 2
MATRIX = torch.tensor([[[1.1, 0.1, 0.5], [-0.1, 0.9, -1.0]]]).repeat(2, 1, 1)
ANCHORS = boxes.anchors((8, 8), stride=8, sizes=(12, 20))
RAW = rpn.Raw(
    torch.randn(2, len(ANCHORS), generator=generator(12)),
    torch.randn(2, len(ANCHORS), 4, generator=generator(13)) * 0.1,
    ANCHORS,
    torch.arange(len(ANCHORS)) % 2,
)
SQUARE = torch.zeros(1, 64, 64, dtype=torch.bool)
SQUARE[0, 20:40, 24:44] = True
TARGET = rcnn.Target(torch.tensor([[24.0, 20, 44, 40]]), torch.tensor([1]), SQUARE)
STATE = recurrent.State(random(14, 3, 5), random(15, 3, 5))
HIT, SCANS = [torch.tensor([0, -1, 1]), torch.tensor([-1, 0, -2])], [random(16, 3), random(17, 3)]
FOUND = {"masks": MASKS, "labels": torch.tensor([1, 1, 2, 2]), "scores": random(18, 4)}
PLAIN = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.BatchNorm2d(2), nn.MaxPool2d(2), nn.AvgPool2d(2)).eval()
DUAL = torch.stack([FLOW, FLOW.flip(3)], 2) / 4


def scored(truth: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> Any:
    """Scores of COCO from tensors, wherever they are: ``coco_scores`` itself works in NumPy."""
    return detection.coco_scores(instances.from_images([truth]), instances.from_images([found]))


def case(function: Callable[..., Any], *args: Any, comes_back: bool = False, **kwargs: Any) -> tuple[str, Case]:
    module = function.__module__.removeprefix("coursekit.")
    return f"{module}.{function.__name__}", Case(function, args, kwargs, comes_back)


LOSSES = dict(
    [
        case(losses.cross_entropy, LOGITS, TRUTH, weight=torch.tensor([1.0, 2.0, 0.5]), each=random(20, 2, 6, 6)),
        case(losses.dice_loss, LOGITS, TRUTH, background=False),
        case(losses.smooth_l1, LOGITS, LOGITS.flip(0), beta=0.5),
        case(losses.mask_loss, LOGITS, random(21, 2, 6, 6), torch.tensor([0, 2])),
        case(losses.consistency, LOGITS, LOGITS.flip(1), where=TRUTH == 0),
    ]
)
OPS = dict(
    [
        case(boxes.area, BOXES),
        case(boxes.iou, BOXES, BOXES[:7]),
        case(boxes.convert, BOXES, target="cxcywh"),
        case(boxes.clip, BOXES, (30, 30)),
        case(boxes.encode, BOXES, BOXES.flip(0)),
        case(boxes.decode, random(22, 60, 4) - 0.5, BOXES),
        case(boxes.anchors, (3, 4), stride=8, sizes=(12, 20), device=ON_THE_DEVICE),
        case(nms.nms_by_definition, BOXES[:20], SCORES[:20], 0.4, comes_back=True),
        case(nms.nms, BOXES, SCORES, 0.4),
        case(nms.batched_nms, BOXES, SCORES, LABELS, 0.4),
        case(paste.paste, random(4, 60, 7, 7), BOXES, (64, 64)),
        case(roi.bilinear, CHARTS[0], random(23, 9) * 15, random(24, 9) * 19),
        case(roi.hat_weights, random(25, 4, 3, 2) * 15, 16),
        case(roi.bin_weights, random(26, 4) * 5, 1 + random(27, 4) * 9, 3, 16, 0),
        case(roi.roi_align_by_definition, CHARTS[0], BOXES[0], 5, spatial_scale=0.25),
        case(roi.roi_align, CHARTS, [BOXES[:30], BOXES[30:]], 7, spatial_scale=0.25),
        case(roi.roi_pool_by_definition, CHARTS[0], BOXES[0], 5, spatial_scale=0.25),
        case(roi.snapped_bins, BOXES, 7, spatial_scale=0.25),
        case(roi.snapping_error, BOXES, spatial_scale=0.25),
        case(roi.roi_pool, CHARTS, [BOXES[:30], BOXES[30:]], 7, spatial_scale=0.25),
        case(conv.unfold, VOLUME, 3, padding=1),
        case(conv.conv, IMAGE, random(28, 2, 1, 3, 3), random(29, 2), stride=2),
        case(conv.conv3d, VOLUME, random(30, 2, 1, 3, 3, 3), random(29, 2), padding=1),
        case(conv.cost, PLAIN, (2, 1, 8, 8)),
        case(inflate.still_clip, IMAGE, 3),
        case(inflate.inflate_kernel, random(31, 2, 1, 3, 3), 3),
        case(inflate.pad_time, VOLUME, 3, 2),
        case(inflate.inflate, PLAIN),
        case(inflate.inflate_state, PLAIN[:2].state_dict(), inflate.inflate(PLAIN[:2])),
        case(warp.grid, (3, 4), device=ON_THE_DEVICE),
        case(warp.sample, VOLUME, random(32, 2, 3, 4, 5, 6) * 7, border="zeros"),
        case(warp.warp, IMAGE, FLOW),
        case(warp.affine_points, MATRIX, (20, 24), spacing_mm=(1.0, 0.5)),
        case(warp.affine, IMAGE, MATRIX),
        case(warp.affine_flow, MATRIX, (20, 24)),
        case(losses.border_weights, CELLS),
    ]
)
FLOWS = dict(
    [
        case(pyramid.derivatives, IMAGE),
        case(pyramid.shifted, IMAGE, 2, 1),
        case(pyramid.linearise, IMAGE, IMAGE.flip(0), FLOW),
        case(pyramid.blur, VOLUME, 1.5),
        case(pyramid.resize_flow, FLOW3, (10, 12, 14)),
        case(pyramid.coarse_to_fine, IMAGE, IMAGE.flip(0), lambda a, b, flow: flow + b - a, smallest=8),
        case(pyramid.door, IMAGE, IMAGE.flip(0), window=4.0),
        case(local.lucas_kanade, IMAGE, IMAGE.flip(3), damping=0.1, warps=2),
        case(local.structure_tensor, FLOW, 2.0),
        case(variational.horn_schunck, IMAGE, IMAGE.flip(3), warps=2, iterations=5),
        case(variational.neighbour_mean, FLOW3),
        case(variational.tv_l1, VOLUME, VOLUME.flip(4), warps=2, iterations=5),
        case(variational.tv_l1_step, FLOW, DUAL, IMAGE, FLOW.flip(2), attachment=15.0, tightness=0.3),
        case(variational.gradient, FLOW3),
        case(variational.divergence, DUAL),
        case(colour.colour_wheel, comes_back=True),
        case(colour.flow_to_colour, FLOW),
        case(colour.colour_key, 9, comes_back=True),
        case(colour.to_channels, FLOW),
    ]
)
METRICS = dict(
    [
        case(detection.match_by_definition, TABLE, threshold=0.5, ignored=[False] * 8, crowd=[False] * 8),
        ("metrics.detection.coco_scores", Case(scored, ({"masks": MASKS, "labels": LABELS[:4]}, FOUND), {})),
        case(detection.precision_recall, SCORES, SCORES > 0.6, positives=40),
        case(froc.hits, random(33, 5, 3) * 9, 1 + random(34, 5), random(35, 30, 3) * 9),
        case(froc.froc, [2, 1], HIT, SCANS, comes_back=True),
        case(froc.froc_interval, [2, 1], HIT, SCANS, generator=Seeded(0), repeats=20, comes_back=True),
        case(instances.from_images, [FOUND]),
        case(matching.match_greedy, TABLE, SCORES[:9]),
        case(matching.match_optimal, TABLE),
        case(matching.dsb_score, [TABLE, TABLE[:3]]),
        case(motion.end_point_error, FLOW, FLOW.flip(2)),
        case(motion.angular_error, FLOW, FLOW.flip(2)),
        case(motion.motion_error, FLOW, FLOW.flip(2), valid=IMAGE[:, 0] > 0.3),
        case(overlap.dice, MASKS, MASKS.flip(0)),
        case(overlap.iou, MASKS, MASKS.flip(0)),
        case(overlap.mask_iou, MASKS, MASKS[:3]),
        case(overlap.instance_iou, LABEL_MAP, OTHER_MAP),
        case(regression.regression, SCORES, SCORES.flip(0)),
        case(
            regression.bootstrap,
            lambda t, p: regression.regression(t, p).mae,
            SCORES,
            SCORES.flip(0),
            generator=Seeded(0),
            repeats=20,
        ),
        case(regression.resamples, 5, generator=Seeded(0), repeats=4, comes_back=True),
        case(regression.interval, 0.5, SCORES, level=0.9),
        case(rle.encode_by_definition, MASKS[0]),
        case(rle.decode_by_definition, [3, 4, 5], (3, 4), comes_back=True),
        case(rle.encode, MASKS),
        case(rle.decode, rle.encode(MASKS), comes_back=True),
        case(roc.roc, SCORES > 0.5, SCORES.round(decimals=1)),
        case(surface.surface, MASKS),
        case(surface.surface_distances, MASKS, MASKS.flip(1), spacing_mm=(2.0, 1.0, 1.0), comes_back=True),
        case(surface.surface_record, MASKS, MASKS.flip(1), spacing_mm=(2.0, 1.0, 1.0)),
        case(temporal.temporal_iou, events(36, 5), events(37, 7)),
        case(temporal.match_events, events(36, 5), events(37, 7), SCORES[:7], threshold=0.3),
        case(temporal.average_precision, [events(36, 5)], [events(37, 7)], [SCORES[:7]], threshold=0.3),
    ]
)
PARTS = dict(
    [
        case(efficientnet_lite.prepare, random(38, 2, 3, 20, 24) * 255, size=32),
        case(rcnn.jitter, BOXES, amount=0.1, generator=Seeded(0)),
        case(rcnn.mask_targets, SQUARE, TARGET.boxes, 14),
        case(rcnn.sample_regions, BOXES, TARGET, count=16, generator=Seeded(0)),
        case(
            rcnn.best_boxes,
            random(39, 20, 2),
            random(40, 20, 2, 4) - 0.5,
            BOXES[:20],
            (64, 64),
            threshold=0.3,
            iou_threshold=0.5,
            most=10,
        ),
        case(recurrent.rnn_step, random(41, 3, 5), STATE),
        case(recurrent.lstm_step, random(42, 3, 20), STATE),
        case(refine.grow, BOXES, 0.25),
        case(refine.through, MASKS, BOXES[:4] / 8, 8),
        case(refine.as_detected, MASKS, BOXES[:4] / 8, BOXES[:4] / 8 + 0.3),
        case(rpn.propose, RAW, (64, 64), keep=20),
        case(rpn.assign, TABLE, low=0.3, high=0.7, best=True),
        case(rpn.balanced, torch.arange(60) % 5 - 2, count=20, share=0.5, generator=Seeded(0)),
        case(rpn.rpn_loss, RAW, [TARGET.boxes, BOXES[:3]], count=32, generator=Seeded(0)),
        case(style.blur, random(43, 2, 1, 32, 40)),
        case(style.bands, random(43, 2, 1, 32, 40)),
        case(style.join, style.bands(random(43, 2, 1, 32, 40))),
        case(style.style_of, random(43, 2, 1, 32, 40)),
        case(style.restyle, random(43, 2, 1, 32, 40), random(44, 1, 1, 36, 33), generator=Seeded(0)),
        case(unet.crop, IMAGE, (10, 11)),
        case(video.flow_stack, FLOW3.unflatten(0, (1, 2)).flatten(0, 1)[:, :2], 3, 4),
        case(views.orthogonal_views, random(45, 2, 1, 6, 6, 6)),
        case(views.as_photograph, IMAGE * 1400 - 1000, low=-1000, high=400),
        case(views.view_features, nn.Sequential(nn.Flatten(), nn.Linear(16, 3)), random(46, 4, 3, 1, 4, 4)),
        case(views.fit_linear, random(47, 30, 4), torch.arange(30) % 2),
    ]
)
CASES: dict[str, Case] = {**OPS, **LOSSES, **FLOWS, **METRICS, **PARTS}

CLIP, CLIP_FLOW = random(48, 2, 1, 6, 16, 16), random(49, 2, 2, 5, 16, 16)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[Any, ...]]] = {
    "U-Net in 2D": (lambda: unet.UNet(ndim=2, base=4, depth=2), (random(50, 2, 1, 13, 15),)),
    "U-Net in 3D": (lambda: unet.UNet(ndim=3, base=4, depth=1), (random(51, 2, 1, 8, 9, 10),)),
    "ventricle": (echo.ventricle_net, (random(52, 2, 1, 16, 16),)),
    "ejection fraction": (lambda: echo.EFRegressor(widths=(4, 6)), (CLIP,)),
    "nodule": (lambda: nodule.NoduleNet(size=16), (random(53, 2, 1, 16, 16, 16),)),
    "views": (
        lambda: views.JointViews(nodule.PatchFeatures(ndim=2, size=16), width=32),
        (random(54, 2, 3, 1, 16, 16),),
    ),
    "linear": (lambda: views.LinearClassifier(torch.zeros(4), torch.ones(4), classes=2), (random(55, 3, 4),)),
    "EfficientNet": (lambda: efficientnet_lite.EfficientNetLite0(classes=3), (random(56, 2, 3, 32, 32),)),
    "Inception in 2D": (lambda: inception.Inception(ndim=2, classes=2), (random(57, 2, 3, 32, 32),)),
    "Inception in 3D": (lambda: inception.Inception(ndim=3, classes=2), (random(58, 2, 3, 4, 32, 32),)),
    "inflated": (lambda: inflate.inflate(copy.deepcopy(PLAIN)), (random(59, 2, 1, 3, 8, 8),)),
    "pyramid": (lambda: features.small_pyramid(widths=(8, 12, 16), width=16), (random(60, 2, 1, 32, 32),)),
    "mask branch": (
        lambda: rcnn.MaskBranch(roi.roi_align, stride=4, width=8, resolution=4),
        (random(61, 2, 1, 32, 32), [BOXES[:3] / 2, BOXES[3:5] / 2]),
    ),
    "recurrent": (lambda: recurrent.Recurrent(5, 4), (random(62, 2, 6, 5),)),
    "CNN and RNN": (
        lambda: recurrent.CNNRNN(nn.Sequential(nn.Flatten(), nn.Linear(256, 7)), width=7, classes=3, cell="rnn"),
        (CLIP,),
    ),
    "refiner": (lambda: refine.BoundaryRefiner(size=16, base=4, depth=2), (random(63, 2, 2, 16, 16),)),
    **{name: (partial(kind, 3, widths=(4, 6)), (CLIP, CLIP_FLOW)) for name, kind in video.ARCHITECTURES.items()},
}


def mask_rcnn() -> nn.Module:
    """Mask R-CNN, whose two ways, losses and detections, have tests of their own: detections may trade places."""
    torch.manual_seed(0)
    backbone = features.small_pyramid(widths=(8, 12, 16), width=16)
    return rcnn.MaskRCNN(backbone, roi.roi_align, sizes=((12, 20), (28, 40)))


def network(name: str) -> nn.Module:
    """The network of that name, with the same weights each time; statistics as in use."""
    torch.manual_seed(0)
    return NETWORKS[name][0]().eval()


def public() -> Iterator[tuple[str, Any]]:
    """Every public function and class of the five rooms, under the name a case has."""
    for room in ROOMS:
        module = importlib.import_module(f"coursekit.{room}")
        inside = [module]
        if hasattr(module, "__path__"):
            inside = [
                importlib.import_module(f"coursekit.{room}.{m.name}") for m in pkgutil.iter_modules(module.__path__)
            ]
        for part in inside:
            for name, thing in vars(part).items():
                own = getattr(thing, "__module__", None) == part.__name__
                if own and not name.startswith("_") and (inspect.isfunction(thing) or inspect.isclass(thing)):
                    yield f"{part.__name__.removeprefix('coursekit.')}.{name}", thing


def takes_or_gives_tensors(function: Callable[..., Any]) -> bool:
    """Whether a signature speaks of tensors or of a network to work on; what builds a network speaks of neither."""
    signature = inspect.signature(function)
    return "Tensor" in str(signature) or any("Module" in str(p.annotation) for p in signature.parameters.values())


def classes_in_use() -> set[type]:
    """The class of every network and of every network in it, over all cases."""
    nets = [network(name) for name in NETWORKS] + [mask_rcnn()]
    return {type(module) for net in nets for module in net.modules()}
