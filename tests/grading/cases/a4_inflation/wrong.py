"Answers of a4_inflation that are wrong by one plausible misconception; ``coursegrade.cases`` says how to read them."

EQUAL = "share[:] = 1 / depth"
MIDDLE = "share[(depth - 1) // 2] = 1"
INFLATED = 'return {"weight": weight[:, :, None] * share[:, None, None], "bias": bias}'
BIAS = '"bias": bias'
CONVOLUTION = [
    (
        "inflate_convolution",
        "conv_equal",
        "time, comes third",
        [
            ("not divided", EQUAL, "share[:] = 1"),
            ("divided by the depth squared", EQUAL, "share[:] = 1 / depth**2"),
            (
                "divided by all that it spans",
                EQUAL,
                "share[:] = 1 / (depth * weight.shape[2] * weight.shape[3])",
            ),
            ("divided by one less", EQUAL, "share[:] = 1 / (depth - 1)"),
            ("by the root of the depth", EQUAL, "share[:] = 1 / depth**0.5"),
            ("the middle alone", EQUAL, MIDDLE),
            (
                "less towards the ends",
                EQUAL,
                (
                    "share[:] = torch.tensor([1.0 + min(k, depth - 1 - k) for k in range(depth)])\n"
                    "        share /= share.sum()"
                ),
            ),
            ("time in front", INFLATED, 'return {"weight": torch.stack([weight * s for s in share]), "bias": bias}'),
            (
                "time before the inputs",
                INFLATED,
                'return {"weight": torch.stack([weight * s for s in share], 1), "bias": bias}',
            ),
            (
                "time behind the rows",
                INFLATED,
                'return {"weight": torch.stack([weight * s for s in share], 3), "bias": bias}',
            ),
            ("time last", INFLATED, 'return {"weight": torch.stack([weight * s for s in share], 4), "bias": bias}'),
            (
                "repeated along the inputs",
                INFLATED,
                'return {"weight": weight.repeat(1, depth, 1, 1) / depth, "bias": bias}',
            ),
            ("the weight alone", INFLATED, "return weight[:, :, None] * share[:, None, None]"),
        ],
    ),
    (
        "inflate_convolution",
        "conv_equal",
        "slices that add up to the 2D kernel",
        [
            ("divided by the rows too", EQUAL, "share[:] = 1 / (depth * weight.shape[2])"),
            ("three slices at most", EQUAL, "share[:] = 1 / min(depth, 3)"),
        ],
    ),
    (
        "inflate_convolution",
        "conv_bias",
        "the bias is added once",
        [
            ("bias divided", BIAS, '"bias": bias if bias is None else bias / depth'),
            ("bias times the depth", BIAS, '"bias": bias if bias is None else bias * depth'),
            ("no bias", BIAS, '"bias": None'),
            ("a bias of zeros for none", BIAS, '"bias": torch.zeros(len(weight)) if bias is None else bias'),
            ("a bias a frame", BIAS, '"bias": bias if bias is None else bias[:, None].repeat(1, depth)'),
            ("copied though it may be None", BIAS, '"bias": bias.clone()'),
            ("one bias for all", BIAS, '"bias": bias if bias is None else bias.mean().expand(len(bias))'),
            ("bias not returned", ', "bias": bias}', "}"),
        ],
    ),
    (
        "inflate_convolution",
        "conv_bias",
        "with either kind of shares",
        [
            ("bias divided if centred", BIAS, '"bias": bias if bias is None or shares == "equal" else bias / depth'),
            ("no bias if centred", BIAS, '"bias": bias if shares == "equal" else None'),
        ],
    ),
    (
        "inflate_convolution",
        "conv_centred",
        "not divided, in the middle slice",
        [
            ("divided in the middle too", MIDDLE, "share[(depth - 1) // 2] = 1 / depth"),
            ("the later of two", MIDDLE, "share[depth // 2] = 1"),
            ("the first slice", MIDDLE, "share[0] = 1"),
            ("the last slice", MIDDLE, "share[-1] = 1"),
            ("equal in any case", MIDDLE, EQUAL),
            ("half for each of two", MIDDLE, "share[(depth - 1) // 2] += 0.5\n        share[depth // 2] += 0.5"),
            ("in each slice", MIDDLE, "share[:] = 1"),
        ],
    ),
    (
        "inflate_convolution",
        "conv_centred",
        "it stands at (D - 1) // 2",
        [("the second slice", MIDDLE, "share[min(1, (depth - 1) // 2)] = 1")],
    ),
]

FRONT = "front = (depth - 1) // 2"
BEHIND = "behind = depth - 1 - front"
ENDS = "first, last = clip[:, :, :1], clip[:, :, -1:]"
ASKED = 'if ends == "zeros":'
ZEROS = "first, last = torch.zeros_like(first), torch.zeros_like(last)"
JOINED = "return torch.cat([first] * front + [clip] + [last] * behind, 2)"
HELD = f'if ends == "held":\n        @\n    {JOINED}'
TIME = [
    (
        "pad_time",
        "time_held",
        "times the first frame in front",
        [
            ("the odd one in front", FRONT, "front = depth // 2"),
            ("half the depth on either side", BEHIND, "front = behind = depth // 2"),
            ("rounded down on either side", BEHIND, "behind = front"),
            ("one too many", BEHIND, "behind = depth - front"),
            ("all in front", FRONT, "front = depth - 1"),
            ("all behind", FRONT, "front = 0"),
            ("zeros in any case", ASKED, "if True:"),
            ("ends swapped", ENDS, "last, first = clip[:, :, :1], clip[:, :, -1:]"),
            ("the first frame at both ends", ENDS, "first = last = clip[:, :, :1]"),
            ("the mean frame", ENDS, "first = last = clip.mean(2, keepdim=True)"),
            (
                "mirrored",
                JOINED,
                HELD.replace(
                    "@",
                    (
                        "return torch.cat([clip[:, :, 1 : 1 + front].flip(2), clip, clip[:, :, -1 - "
                        "behind : -1].flip(2)], 2)"
                    ),
                ),
            ),
            (
                "round and round",
                JOINED,
                HELD.replace(
                    "@", "return torch.cat([clip[:, :, clip.shape[2] - front :], clip, clip[:, :, :behind]], 2)"
                ),
            ),
            (
                "rows and columns too",
                JOINED,
                HELD.replace("@", 'return F.pad(clip, (1, 1, 1, 1, front, behind), mode="replicate")'),
            ),
            ("along the rows", JOINED, JOINED.replace(", 2)", ", 3)")),
        ],
    ),
    (
        "pad_time",
        "time_held",
        "whole frames of several clips and channels",
        [
            (
                "the first clip's ends for all",
                ENDS,
                "first, last = (clip[:1, :, [t]].repeat(len(clip), 1, 1, 1, 1) for t in (0, -1))",
            ),
            (
                "the first channel's ends for all",
                ENDS,
                "first, last = (clip[:, :1, [t]].repeat(1, clip.shape[1], 1, 1, 1) for t in (0, -1))",
            ),
            (
                "the mean of the frame",
                ENDS,
                "first, last = (clip[:, :, [t]].mean((3, 4), True).expand_as(clip[:, :, [t]]) for t in (0, -1))",
            ),
            (
                "no more frames than there are",
                BEHIND,
                "behind = depth - 1 - front\n    front, behind = min(front, clip.shape[2]), min(behind, clip.shape[2])",
            ),
        ],
    ),
    (
        "pad_time",
        "time_zeros",
        "they show zeros",
        [
            ("held in any case", ASKED, "if False:"),
            ("zeros, all behind", ZEROS, f"{ZEROS}\n        front, behind = 0, depth - 1"),
            ("ones", ZEROS, "first, last = torch.ones_like(first), torch.ones_like(last)"),
            ("zeros in front alone", ZEROS, "first = torch.zeros_like(first)"),
            ("zeros behind alone", ZEROS, "last = torch.zeros_like(last)"),
            (
                "the frames at the ends overwritten",
                ZEROS,
                "clip = clip.clone()\n        clip[:, :, :1] = clip[:, :, -1:] = 0",
            ),
            ("one for zero frames", ZEROS, f"{ZEROS}\n        front = max(front, 1)"),
        ],
    ),
    (
        "pad_time",
        "time_zeros",
        "count the frames as for held ends",
        [
            ("zeros, the odd one in front", ZEROS, f"{ZEROS}\n        front, behind = behind, front"),
            ("the same number on either side", ZEROS, f"{ZEROS}\n        behind = front"),
        ],
    ),
    (
        "pad_time",
        "time_zeros",
        "zeros in time alone",
        [
            (
                "a border too, where there is room",
                ZEROS,
                (
                    "r, c = min(1, clip.shape[3] - 1), min(1, clip.shape[4] - 1)\n"
                    "        return F.pad(clip, (c, c, r, r, front, behind))"
                ),
            ),
            ("a single zero", ZEROS, "first = last = torch.zeros(1, 1, 1, 1, 1, dtype=clip.dtype)"),
        ],
    ),
]

SPREAD = "mean, var, scale, shift = (v[:, None, None, None] for v in (mean, var, scale, shift))"
NORMED = "return scale * (clip - mean) / (var + eps) ** 0.5 + shift"
CONTINUED = "clip = pad(clip, depth)"
WINDOWS = "windows = clip.unfold(2, depth, 1).unfold(3, size, stride).unfold(4, size, stride).flatten(5)"
POOLED = 'return windows.amax(5) if how == "max" else windows.mean(5)'
LAYERS = [
    (
        "layers",
        "layer_norm",
        "axis 1 of the clip",
        [
            ("eps behind the root", NORMED, "return scale * (clip - mean) / (var**0.5 + eps) + shift"),
            ("no root", NORMED, "return scale * (clip - mean) / (var + eps) + shift"),
            ("no eps", NORMED, "return scale * (clip - mean) / var**0.5 + shift"),
            ("shifted, then scaled", NORMED, "return scale * ((clip - mean) / (var + eps) ** 0.5 + shift)"),
            ("no scale", NORMED, "return (clip - mean) / (var + eps) ** 0.5 + shift"),
            ("no shift", NORMED, "return scale * (clip - mean) / (var + eps) ** 0.5"),
            ("no mean", NORMED, "return scale * clip / (var + eps) ** 0.5 + shift"),
            ("one more than the scale", NORMED, "return (1 + scale) * (clip - mean) / (var + eps) ** 0.5 + shift"),
            (
                "divided by the frames",
                NORMED,
                "return scale * (clip - mean) / (var + eps) ** 0.5 / clip.shape[2] + shift",
            ),
            (
                "measured anew",
                SPREAD,
                f"mean, var = clip.mean((0, 2, 3, 4)), clip.var((0, 2, 3, 4), correction=0)\n    {SPREAD}",
            ),
            ("along time", SPREAD, "mean, var, scale, shift = (v[:, None, None] for v in (mean, var, scale, shift))"),
        ],
    ),
    (
        "layers",
        "layer_norm",
        "the four numbers belong to the channel",
        [
            (
                "along the columns, where they are as many",
                SPREAD,
                f"if clip.shape[4] == len(mean):\n        {NORMED}\n    {SPREAD}",
            ),
            ("eps is always 1", NORMED, "return scale * (clip - mean) / (var + 1) ** 0.5 + shift"),
        ],
    ),
    (
        "layers",
        "layer_pool",
        "a window spans depth frames",
        [
            ("not continued", CONTINUED, "pass"),
            ("pixels alone", CONTINUED, "depth = 1"),
            ("frames skipped by the stride", WINDOWS, WINDOWS.replace("depth, 1", "depth, stride")),
            ("frames in blocks", WINDOWS, WINDOWS.replace("depth, 1", "depth, depth")),
            ("every place in space", WINDOWS, WINDOWS.replace("stride", "1")),
            ("the sum for the mean", POOLED, POOLED.replace("mean", "sum")),
            ("always the largest", POOLED, "return windows.amax(5)"),
            ("always the mean", POOLED, "return windows.mean(5)"),
            ("the smallest", POOLED, POOLED.replace("amax", "amin")),
            ("size for depth", CONTINUED, "size, depth = depth, size\n    clip = pad(clip, depth)"),
            ("continued by the size", CONTINUED, "clip = pad(clip, size)"),
            ("zeros at the ends", CONTINUED, "clip = F.pad(clip, (0, 0, 0, 0, (depth - 1) // 2, depth // 2))"),
        ],
    ),
    (
        "layers",
        "layer_pool",
        "no zero comes in",
        [
            (
                "zeros at the ends, for the largest",
                CONTINUED,
                'clip = pad(clip, depth) if how == "mean" else F.pad(clip, (0, 0, 0, 0, (depth - 1) // 2, depth // 2))',
            ),
            ("stride is the size", WINDOWS, WINDOWS.replace("stride", "size")),
            (
                "the largest of all channels",
                POOLED,
                "windows = windows if how == 'mean' else windows.amax(1, True).expand_as(windows)\n    " + POOLED,
            ),
            ("the size of the largest", POOLED, POOLED.replace("windows.amax(5)", "windows.abs().amax(5)")),
        ],
    ),
]

DEEPER = 'if kind in ("conv2d", "maxpool2d", "meanpool2d"):'
FRAMES = "frames = 1 if max(pixels) == 1 else depth"
KNOBS = 'deep |= {"stride": [1, *net["stride"]], "padding": [0, *net["padding"]]}'
WEIGHT = 'deep |= {"size": [frames, *pixels]} if "size" in net else convolution(net["weight"], net["bias"], frames)'
FLAT = 'if kind.endswith("2d"):'
NAMED = 'deep["kind"] = kind[:-2] + "3d"'
WALK = 'if "children" in net:'
CHILD = "inflate_network(child, depth, convolution)"
RETURN = "return deep"
ONE = """def _one(net, depth, convolution):
    deep, kind = dict(net), net["kind"]
    deep["kind"] = kind[:-2] + "3d" if kind.endswith("2d") else kind
    if "stride" in net:
        pixels = net["size"] if "size" in net else net["weight"].shape[2:]
        frames = 1 if max(pixels) == 1 else depth
        deep |= {"stride": [1, *net["stride"]], "padding": [0, *net["padding"]]}
        deep |= {"size": [frames, *pixels]} if "size" in net else convolution(net["weight"], net["bias"], frames)
    return deep
"""
NETWORK = [
    (
        "inflate_network",
        "net_convs",
        "in time the stride is 1",
        [
            ("one pixel in depth too", FRAMES, "frames = depth"),
            ("wide by its rows alone", FRAMES, "frames = 1 if pixels[0] == 1 else depth"),
            ("as deep as wide", FRAMES, "frames = max(pixels)"),
            ("all within the frame", FRAMES, "frames = 1"),
            (
                "frames skipped",
                KNOBS,
                'deep |= {"stride": [max(net["stride"]), *net["stride"]], "padding": [0, *net["padding"]]}',
            ),
            (
                "time padded twice",
                KNOBS,
                'deep |= {"stride": [1, *net["stride"]], "padding": [frames // 2, *net["padding"]]}',
            ),
            ("time comes last", KNOBS, 'deep |= {"stride": [*net["stride"], 1], "padding": [*net["padding"], 0]}'),
            ("two numbers for three axes", KNOBS, "pass"),
            ("pools left as they are", DEEPER, 'if kind == "conv2d":'),
            ("pools within the frame", WEIGHT, WEIGHT.replace("[frames", "[1")),
            ("bias dropped", WEIGHT, WEIGHT.replace('net["bias"]', "None")),
            ("convolutions always three deep", WEIGHT, WEIGHT.replace("frames)", "3)")),
        ],
    ),
    (
        "inflate_network",
        "net_convs",
        "its kind is 'conv2d'",
        [("2D by name", NAMED, "pass")],
    ),
    (
        "inflate_network",
        "net_convs",
        "all else the full depth",
        [
            ("groups reset", KNOBS, KNOBS + '\n        deep |= {"groups": 1} if "groups" in net else {}'),
            ("always three deep", FRAMES, "frames = 1 if max(pixels) == 1 else 3"),
            ("wide by its columns alone", FRAMES, "frames = 1 if pixels[1] == 1 else depth"),
            ("odd depths alone", FRAMES, "frames = 1 if max(pixels) == 1 else depth // 2 * 2 + 1"),
        ],
    ),
    (
        "inflate_network",
        "net_rest",
        "all numbers stay, none is divided",
        [
            ("variance divided", FLAT, 'if kind == "norm2d":\n        deep["var"] = net["var"] / depth\n    ' + FLAT),
            ("scale divided", FLAT, 'if kind == "norm2d":\n        deep["scale"] = net["scale"] / depth\n    ' + FLAT),
            (
                "mean times the depth",
                FLAT,
                'if kind == "norm2d":\n        deep["mean"] = net["mean"] * depth\n    ' + FLAT,
            ),
            (
                "a new norm",
                FLAT,
                'if kind == "norm2d":\n        deep |= {"mean": 0 * net["mean"], "var": 0 * net["var"] + 1}\n    '
                + FLAT,
            ),
            (
                "linear divided",
                FLAT,
                'if kind == "linear":\n        deep["weight"] = net["weight"] / depth\n    ' + FLAT,
            ),
            (
                "linear's bias divided",
                FLAT,
                'if kind == "linear":\n        deep["bias"] = net["bias"] / depth\n    ' + FLAT,
            ),
            ("whatever has a weight", DEEPER, 'if "weight" in net or "size" in net:'),
            ("eps dropped", RETURN, 'return {name: value for name, value in deep.items() if name != "eps"}'),
        ],
    ),
    (
        "inflate_network",
        "net_rest",
        "its kind is",
        [
            ("norm left in 2D", FLAT, 'if kind.endswith("2d") and kind != "norm2d":'),
            ("average left in 2D", FLAT, 'if kind.endswith("2d") and kind != "average2d":'),
        ],
    ),
    (
        "inflate_network",
        "net_rest",
        "all numbers stay",
        [("everything is 3D", FLAT, 'deep["kind"] = kind.removesuffix("2d") + "3d"\n    if False:')],
    ),
    (
        "inflate_network",
        "net_rest",
        "its entries come back as they were",
        [
            (
                "unknown kinds refused",
                DEEPER,
                'if not kind.endswith("2d") and kind not in ("relu", "linear", "sequence", "residual"):\n'
                "        raise ValueError(kind)\n    " + DEEPER,
            ),
            (
                "what it does not know dropped",
                FLAT,
                'if not kind.endswith("2d") and kind not in ("relu", "linear", "sequence", "residual"):\n'
                '        deep = {"kind": kind}\n    ' + FLAT,
            ),
        ],
    ),
    (
        "inflate_network",
        "net_walk",
        "each of them inflated in the same way",
        [
            ("children left", WALK, "if False:"),
            ("children of a sequence alone", WALK, 'if kind == "sequence":'),
            (
                "children, not theirs",
                CHILD,
                (
                    'inflate_network({**child, "children": {}}, depth, convolution) | {"children": '
                    'child.get("children", {})}'
                ),
            ),
            (
                "numbered",
                "{name: " + CHILD + ' for name, child in net["children"].items()}',
                "{str(k): " + CHILD + ' for k, child in enumerate(net["children"].values())}',
            ),
            (
                "a list",
                "{name: " + CHILD + ' for name, child in net["children"].items()}',
                "[" + CHILD + ' for child in net["children"].values()]',
            ),
            ("the first child alone", 'net["children"].items()}', 'list(net["children"].items())[:1]}'),
            ("blocks left out", 'net["children"].items()}', 'net["children"].items() if child["kind"] != "residual"}'),
        ],
    ),
    (
        "inflate_network",
        "net_walk",
        "keep their names and their order",
        [
            ("in reverse", 'net["children"].items()}', 'reversed(net["children"].items())}'),
            (
                "a residual becomes a sequence",
                WALK,
                'if kind == "residual":\n        deep["kind"] = "sequence"\n    ' + WALK,
            ),
        ],
    ),
    (
        "inflate_network",
        "net_walk",
        "each becomes what it would become by itself",
        [
            (
                "convolutions and blocks alone",
                CHILD,
                f'{CHILD} if child["kind"] == "conv2d" or "children" in child else child',
            ),
        ],
    ),
    (
        "inflate_network",
        "net_walk",
        "blocks in blocks, of whatever kind",
        [
            ("children of kinds that it knows", WALK, 'if kind in ("sequence", "residual"):'),
            (
                "what else a block holds dropped",
                WALK,
                'if "children" in net:\n        deep = {"kind": kind}\n    ' + WALK,
            ),
            (
                "three levels at most",
                "def inflate_network(net, depth, convolution, level=0):\n"
                "    deep = _one(net, depth, convolution)\n"
                '    if "children" in net and level < 3:\n'
                '        children = net["children"].items()\n'
                '        deep["children"] = {k: inflate_network(c, depth, convolution, level + '
                "1) for k, c in children}\n"
                "    return deep\n\n\n" + ONE,
            ),
            (
                "a residual's last child left out",
                WALK,
                'if kind == "residual" and len(net["children"]) > 2:\n'
                '        net = {**net, "children": dict(list(net["children"].items())[:-1])}\n    ' + WALK,
            ),
        ],
    ),
]

IMAGE = "a = torch.as_tensor(image_net(image))"
CLIP = "b = torch.as_tensor(video_net(image[:, :, None].repeat(1, 1, frames, 1, 1)))"
ERROR = "return (b - a[:, None]).abs().amax(2) / a.std(1, correction=0, keepdim=True)"
OVER = "/ a.std(1, correction=0, keepdim=True)"
TOP = "(b - a[:, None]).abs().amax(2)"
REACH_FRONT = "front = sum((depth - 1) // 2 for depth in depths)"
REACH_BEHIND = "behind = sum(depth - 1 - (depth - 1) // 2 for depth in depths)"
REACHED = "return [int(t < front or t >= frames - behind) for t in range(frames)]"
FIXED_POINT = [
    (
        "fixed_point",
        "errors_frames",
        "of each frame the largest distance",
        [
            ("over K - 1", OVER, "/ a.std(1, keepdim=True)"),
            ("no deviation", OVER, ""),
            ("the variance", OVER, "/ a.var(1, correction=0, keepdim=True)"),
            ("the deviation over all images", OVER, "/ a.std(correction=0)"),
            ("the deviation of the frame", OVER, "/ b.std(2, correction=0)"),
            ("over the largest logit", OVER, "/ a.abs().amax(1, keepdim=True)"),
            ("the mean error", TOP, "(b - a[:, None]).abs().mean(2)"),
            ("the root of the mean square", TOP, "(b - a[:, None]).square().mean(2).sqrt()"),
            ("with its sign", TOP, "(b - a[:, None]).amax(2)"),
            ("the smallest error", TOP, "(b - a[:, None]).abs().amin(2)"),
            ("one number a clip", TOP, "(b - a[:, None]).abs().amax((1, 2))"),
            (
                "of the image's first class",
                TOP,
                "(b - a[:, None]).abs().gather(2, a.argmax(1)[:, None, None].expand(-1, frames, 1))[:, :, 0]",
            ),
            ("against the first frame", TOP, "(b - b[:, :1]).abs().amax(2)"),
            (
                "time before the channels",
                CLIP,
                "b = torch.as_tensor(video_net(image[:, None].repeat(1, frames, 1, 1, 1)))",
            ),
            ("a frame too many", CLIP, CLIP.replace("1, 1, frames, 1", "1, 1, frames + 1, 1")),
        ],
    ),
    (
        "fixed_point",
        "errors_frames",
        "images of several channels",
        [
            ("half the range", OVER, "/ ((a.amax(1) - a.amin(1)) / 2)[:, None]"),
            ("the mean distance from the mean", OVER, "/ (a - a.mean(1, True)).abs().mean(1, True)"),
            ("the first channel for all", CLIP, CLIP.replace("image[:", "image[:, :1].expand_as(image)[:")),
        ],
    ),
    (
        "fixed_point",
        "errors_reached",
        "layers add up",
        [
            ("the deepest alone", "    " + REACH_FRONT + "\n", "    depths = [max(depths)]\n    " + REACH_FRONT + "\n"),
            ("half the depth on either side", REACH_FRONT, "front = sum(depth // 2 for depth in depths)"),
            ("half the depth behind, rounded down", REACH_BEHIND, "behind = front"),
            ("the odd one in front", REACHED, "front, behind = behind, front\n    " + REACHED),
            ("whole depths", REACH_FRONT, "front = sum(depth - 1 for depth in depths)"),
            ("the front alone", REACHED, "return [int(t < front) for t in range(frames)]"),
            ("behind alone", REACHED, "return [int(t >= frames - behind) for t in range(frames)]"),
            (
                "1 where it is right",
                REACHED,
                REACHED.replace("t < front or t >= frames - behind", "front <= t < frames - behind"),
            ),
            ("one frame too far", REACHED, REACHED.replace("t < front", "t <= front")),
            ("one frame too short", REACHED, REACHED.replace(">=", ">")),
            ("how many", REACHED, "return front + behind"),
            ("a frame a layer", REACH_FRONT, "front = len(depths)"),
        ],
    ),
    (
        "fixed_point",
        "errors_reached",
        "many layers of mixed depth",
        [
            (
                "halved after the sum",
                REACHED,
                "front, behind = (front + behind) // 2, (front + behind + 1) // 2\n    " + REACHED,
            ),
            ("lists laid side by side", REACHED, "return [1] * front + [0] * (frames - front - behind) + [1] * behind"),
            ("needs a layer", REACHED, "assert max(depths) > 0\n    " + REACHED),
            ("ten layers at most", REACH_FRONT, "depths = depths[:10]\n    " + REACH_FRONT),
        ],
    ),
]

WRONG = CONVOLUTION + TIME + LAYERS + NETWORK + FIXED_POINT
