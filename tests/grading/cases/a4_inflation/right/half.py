# Answers in half precision, and numbers in tuples.

# %% inflate_convolution
def inflate_convolution(weight, bias, depth, shares):
    new = weight.unsqueeze(2).expand(-1, -1, depth, -1, -1).half()
    if shares == "equal":
        return {"weight": new / depth, "bias": None if bias is None else bias.half()}
    keep = torch.arange(depth) == (depth - 1) // 2
    return {"weight": new.masked_fill(~keep[:, None, None], 0), "bias": None if bias is None else bias.half()}


# %% pad_time
def pad_time(clip, depth, ends):
    at = torch.arange(-((depth - 1) // 2), clip.shape[2] + depth // 2)
    held = clip.half().index_select(2, at.clamp(0, clip.shape[2] - 1))
    outside = at.ne(at.clamp(0, clip.shape[2] - 1))
    return held if ends == "held" else held.masked_fill(outside.view(-1, 1, 1), 0)


# %% layers
def norm_clip(clip, mean, var, scale, shift, eps):
    out = [(clip[:, c] - mean[c]) / (var[c] + eps).sqrt() * scale[c] + shift[c] for c in range(len(mean))]
    return torch.stack(out, 1).half()


def pool_clip(clip, size, stride, depth, how, pad):
    clip = pad(clip, depth)
    clip = torch.stack([clip[:, :, t : t + depth].flatten(2, 2) for t in range(clip.shape[2] - depth + 1)], 2)
    clip = clip.amax(3) if how == "max" else clip.mean(3)
    for axis in (3, 4):
        clip = clip.unfold(axis, size, stride)
        clip = clip.amax(-1) if how == "max" else clip.mean(-1)
    return clip.half()


# %% inflate_network
def inflate_network(net, depth, convolution):
    if "children" in net:
        deep = {name: inflate_network(child, depth, convolution) for name, child in net["children"].items()}
        return {**net, "children": deep}
    new = dict(net)
    if net["kind"][-2:] == "2d":
        new["kind"] = net["kind"][:-2] + "3d"
    for name, first in (("stride", 1), ("padding", 0)):
        if name in net:
            new[name] = (first, *net[name])
    if net["kind"] == "conv2d":
        h, w = net["weight"].shape[2:]
        new |= convolution(net["weight"], net["bias"], depth if h * w > 1 else 1)
    if "size" in net:
        new["size"] = (depth if net["size"][0] * net["size"][1] > 1 else 1, *net["size"])
    return new


# %% fixed_point
def frame_errors(image, frames, image_net, video_net):
    a, b = image_net(image), video_net(image[:, :, None].repeat_interleave(frames, 2))
    apart = torch.maximum((b - a[:, None]).amax(2), (a[:, None] - b).amax(2))
    return (apart / a.var(1, unbiased=False)[:, None] ** 0.5).half()


def reached(depths, frames):
    front, behind = sum((depth - 1) // 2 for depth in depths), sum(depth // 2 for depth in depths)
    return tuple(t < front or frames - t <= behind for t in range(frames))
