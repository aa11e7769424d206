# NumPy alone.

# %% inflate_convolution
import numpy as np


def inflate_convolution(weight, bias, depth, shares):
    weight = np.asarray(weight)
    if shares == "equal":
        inflated = np.repeat(weight[:, :, np.newaxis], depth, axis=2) / depth
    else:
        inflated = np.zeros((*weight.shape[:2], depth, *weight.shape[2:]))
        inflated[:, :, (depth - 1) // 2] = weight
    return {"bias": None if bias is None else np.array(bias), "weight": inflated}


# %% pad_time
def pad_time(clip, depth, ends):
    front = (depth - 1) // 2
    width = [(0, 0), (0, 0), (front, depth - 1 - front), (0, 0), (0, 0)]
    return np.pad(np.asarray(clip), width, mode="edge" if ends == "held" else "constant")


# %% layers
def norm_clip(clip, mean, var, scale, shift, eps):
    last = np.moveaxis(np.asarray(clip), 1, -1)
    mean, var, scale, shift = map(np.asarray, (mean, var, scale, shift))
    factor = scale / np.sqrt(var + eps)
    return np.moveaxis(last * factor + (shift - mean * factor), -1, 1)


def pool_clip(clip, size, stride, depth, how, pad):
    long = np.asarray(pad(np.asarray(clip), depth))
    windows = np.lib.stride_tricks.sliding_window_view(long, (depth, size, size), axis=(2, 3, 4))
    windows = windows[:, :, :, ::stride, ::stride]
    return (np.max if how == "max" else np.mean)(windows, axis=(5, 6, 7))


# %% inflate_network
KINDS = {f"{kind}2d": f"{kind}3d" for kind in ("conv", "norm", "maxpool", "meanpool", "average")}


def inflate_network(net, depth, convolution):
    deep = {**net, "kind": KINDS.get(net["kind"], net["kind"])}
    if net["kind"] == "conv2d":
        weight = np.asarray(net["weight"])
        deep.update(convolution(weight, net["bias"], 1 if np.prod(weight.shape[2:]) == 1 else depth))
        deep["weight"] = np.asarray(deep["weight"])
    if "size" in net:
        deep["size"] = np.array([1 if np.prod(net["size"]) == 1 else depth, *net["size"]])
    if "stride" in net:
        deep["stride"], deep["padding"] = np.insert(net["stride"], 0, 1), np.insert(net["padding"], 0, 0)
    if "children" in net:
        names, children = zip(*net["children"].items())
        deep["children"] = dict(zip(names, (inflate_network(child, depth, convolution) for child in children)))
    return deep


# %% fixed_point
def frame_errors(image, frames, image_net, video_net):
    image = np.asarray(image)
    a = np.asarray(image_net(image))
    b = np.asarray(video_net(np.repeat(image[:, :, np.newaxis], frames, axis=2)))
    return np.max(np.abs(b - a[:, np.newaxis]), axis=2) / np.std(a, axis=1, keepdims=True)


def reached(depths, frames):
    depths, t = np.asarray(depths, dtype=int), np.arange(frames)
    front = np.sum((depths - 1) // 2)
    return (t < front) | (t >= frames - np.sum(depths // 2))
