# Classes; results in float32.

# %% inflate_convolution
from dataclasses import dataclass


@dataclass
class Shares:
    depth: int
    kind: str

    def __iter__(self):
        for t in range(self.depth):
            if self.kind == "equal":
                yield 1 / self.depth
            else:
                yield 1.0 if 2 * t in (self.depth - 1, self.depth - 2) else 0.0


def inflate_convolution(weight, bias, depth, shares):
    slices = [weight.float().mul(share) for share in Shares(depth, shares)]
    return {"weight": torch.stack(slices, dim=-3), "bias": bias}


# %% pad_time
class Ends:
    def __init__(self, depth):
        self.front, self.behind = divmod(depth - 1, 2)
        self.behind += self.front

    def held(self, clip):
        last = clip.shape[2] - 1
        return clip[:, :, [0] * self.front + [*range(last + 1)] + [last] * self.behind]

    def zeros(self, clip):
        n, c, t, h, w = clip.shape
        out = clip.new_zeros(n, c, self.front + t + self.behind, h, w)
        out[:, :, self.front : self.front + t] = clip
        return out


def pad_time(clip, depth, ends):
    return getattr(Ends(depth), ends)(clip).float()


# %% layers
class Norm(torch.nn.Module):
    def __init__(self, **numbers_of):
        super().__init__()
        self.eps = numbers_of.pop("eps")
        for name, value in numbers_of.items():
            self.register_buffer(name, value.reshape(1, -1, 1, 1, 1).double())

    def forward(self, x):
        return ((x - self.mean) * torch.rsqrt(self.var + self.eps) * self.scale + self.shift).float()


def norm_clip(clip, mean, var, scale, shift, eps):
    return Norm(mean=mean, var=var, scale=scale, shift=shift, eps=eps)(clip)


def pool_clip(clip, size, stride, depth, how, pad):
    """In space first, then in time."""
    space = F.max_pool2d if how == "max" else F.avg_pool2d
    frames = [space(frame, size, stride) for frame in clip.unbind(2)]
    windows = pad(torch.stack(frames, 2), depth).unfold(2, depth, 1)
    return windows.max(-1).values if how == "max" else windows.mean(-1)


# %% inflate_network
class Inflater:
    def __init__(self, depth, convolution):
        self.depth, self.convolution = depth, convolution

    def __call__(self, layer):
        new = getattr(self, layer["kind"], dict)(layer)
        children = {name: self(child) for name, child in layer.get("children", {}).items()}
        return {**new, "children": children} if children else new

    def frames(self, size):
        return 1 if tuple(size) == (1, 1) else self.depth

    def knobs(self, layer):
        return {"stride": [1, *list(layer["stride"])], "padding": [0, *list(layer["padding"])]}

    def conv2d(self, layer):
        kernel = self.convolution(layer["weight"], layer["bias"], self.frames(layer["weight"].shape[-2:]))
        return {**kernel, **self.knobs(layer), "groups": layer["groups"], "kind": "conv3d"}

    def pool(self, layer):
        size = [self.frames(layer["size"]), *list(layer["size"])]
        return {"kind": layer["kind"][:-2] + "3d", "size": size, **self.knobs(layer)}

    maxpool2d = meanpool2d = pool

    def norm2d(self, layer):
        return {**layer, "kind": "norm3d"}

    def average2d(self, layer):
        return {**layer, "kind": "average3d"}


def inflate_network(net, depth, convolution):
    return Inflater(depth, convolution)(net)


# %% fixed_point
@dataclass
class Comparison:
    image_net: object
    video_net: object

    def of(self, image, frames):
        a = self.image_net(image).double()
        b = self.video_net(torch.cat([image[:, :, None]] * frames, 2)).double()
        centred = a - a.mean(1, keepdim=True)
        deviation = centred.norm(dim=1) / a.shape[1] ** 0.5
        errors = [(frame - a).abs().max(1).values / deviation for frame in b.unbind(1)]
        return torch.stack(errors, 1).float()


def frame_errors(image, frames, image_net, video_net):
    return Comparison(image_net, video_net).of(image, frames)


def reached(depths, frames):
    still_right = set(range(frames))
    for depth in depths:
        front, behind = (depth - 1) // 2, depth // 2
        still_right = {t for t in still_right if all(k in still_right for k in range(t - front, t + behind + 1))}
    return [0 if t in still_right else 1 for t in range(frames)]
