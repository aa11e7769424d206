# PyTorch's own layers and pads; results that are not contiguous.

# %% inflate_convolution
def inflate_convolution(weight, bias, depth, shares):
    if shares == "equal":
        new = torch.einsum("oihw,d->oidhw", weight, weight.new_full((depth,), 1 / depth))
    else:
        front = (depth - 1) // 2
        new = F.pad(weight.unsqueeze(-1), (front, depth - 1 - front)).movedim(-1, 2)
    return dict(weight=new, bias=bias)


# %% pad_time
def pad_time(clip, depth, ends):
    mode = "replicate" if ends == "held" else "constant"
    return F.pad(clip, (0, 0, 0, 0, (depth - 1) // 2, depth // 2), mode=mode)


# %% layers
def norm_clip(clip, mean, var, scale, shift, eps):
    layer = torch.nn.BatchNorm3d(len(mean), eps=eps, dtype=clip.dtype).eval()
    layer.load_state_dict({"running_mean": mean, "running_var": var, "weight": scale, "bias": shift}, strict=False)
    return layer(clip)


def pool_clip(clip, size, stride, depth, how, pad):
    layer = torch.nn.MaxPool3d if how == "max" else torch.nn.AvgPool3d
    return layer((depth, size, size), (1, stride, stride))(pad(clip, depth))


# %% inflate_network
def inflate_network(net, depth, convolution):
    match net:
        case {"kind": "conv2d", "weight": weight, "bias": bias, "stride": stride, "padding": padding}:
            frames = 1 if weight[0, 0].numel() == 1 else depth
            new = convolution(weight, bias, frames)
            deep = net | {"kind": "conv3d", "stride": (1, *stride), "padding": (0, *padding)} | new
        case {"kind": "maxpool2d" | "meanpool2d" as kind, "size": size, "stride": stride, "padding": padding}:
            frames = 1 if sum(size) == 2 else depth
            deep = net | {"kind": kind.replace("2", "3"), "size": (frames, *size)}
            deep |= {"stride": torch.tensor([1, *stride]), "padding": torch.tensor([0, *padding])}
        case {"kind": "norm2d" | "average2d" as kind}:
            deep = net | {"kind": kind.replace("2", "3")}
        case _:
            deep = net
    if "children" in net:
        return deep | {
            "children": {name: inflate_network(c, depth, convolution) for name, c in net["children"].items()}
        }
    return deep


# %% fixed_point
def frame_errors(image, frames, image_net, video_net):
    still = image.unsqueeze(2).expand(-1, -1, frames, -1, -1)
    a, b = image_net(image), video_net(still)
    deviation = (a.square().mean(1) - a.mean(1).square()).sqrt()
    return torch.linalg.vector_norm(b - a.unsqueeze(1), ord=float("inf"), dim=2).T.div(deviation).T


def reached(depths, frames):
    right = torch.ones(1, 1, frames)
    for depth in depths:
        right = F.conv1d(F.pad(right, ((depth - 1) // 2, depth // 2)), torch.ones(1, 1, depth)).eq(depth).float()
    return 1 - right.flatten()
