# Plain Python: loops, lists and numbers.

# %% inflate_convolution
def inflate_convolution(weight, bias, depth, shares):
    middle, slices = (depth + 1) // 2 - 1, []
    for output in weight.tolist():
        slices.append([])
        for kernel in output:
            slices[-1].append([])
            for t in range(depth):
                share = 1 / depth if shares == "equal" else float(t == middle)
                slices[-1][-1].append([[value * share for value in row] for row in kernel])
    return {"weight": slices, "bias": None if bias is None else bias.tolist()}


# %% pad_time
def pad_time(clip, depth, ends):
    _n, _c, frames, h, w = clip.shape
    front = (depth - 1) // 2
    nothing = [[0.0] * w for _ in range(h)]
    padded = []
    for video in clip.tolist():
        padded.append([])
        for channel in video:
            row = []
            for t in range(-front, frames + depth - 1 - front):
                inside = 0 <= t < frames
                row.append(channel[min(max(t, 0), frames - 1)] if inside or ends == "held" else nothing)
            padded[-1].append(row)
    return padded


# %% layers
def norm_clip(clip, mean, var, scale, shift, eps):
    out = clip.clone()
    for n in range(clip.shape[0]):
        for c in range(clip.shape[1]):
            for t in range(clip.shape[2]):
                for y in range(clip.shape[3]):
                    for x in range(clip.shape[4]):
                        value = (float(clip[n, c, t, y, x]) - float(mean[c])) / (float(var[c]) + eps) ** 0.5
                        out[n, c, t, y, x] = float(scale[c]) * value + float(shift[c])
    return out


def pool_clip(clip, size, stride, depth, how, pad):
    frames, (h, w) = clip.shape[2], clip.shape[3:]
    long = pad(clip, depth).tolist()
    out = []
    for video in long:
        out.append([])
        for channel in video:
            out[-1].append([])
            for t in range(frames):
                out[-1][-1].append([])
                for y in range(0, h - size + 1, stride):
                    row = []
                    for x in range(0, w - size + 1, stride):
                        window = [
                            channel[t + k][y + i][x + j] for k in range(depth) for i in range(size) for j in range(size)
                        ]
                        row.append(max(window) if how == "max" else sum(window) / len(window))
                    out[-1][-1][-1].append(row)
    return out


# %% inflate_network
def inflate_network(net, depth, convolution):
    deep = {}
    for name in net:
        deep[name] = net[name]
    if net["kind"] == "conv2d":
        _, _, h, w = net["weight"].shape
        inflated = convolution(net["weight"], net["bias"], depth if h > 1 or w > 1 else 1)
        deep["kind"], deep["weight"], deep["bias"] = "conv3d", inflated["weight"], inflated["bias"]
    elif net["kind"] in ("maxpool2d", "meanpool2d"):
        deep["kind"] = "maxpool3d" if net["kind"] == "maxpool2d" else "meanpool3d"
        h, w = net["size"]
        deep["size"] = [depth if h > 1 or w > 1 else 1, h, w]
    elif net["kind"] == "norm2d":
        deep["kind"] = "norm3d"
    elif net["kind"] == "average2d":
        deep["kind"] = "average3d"
    if net["kind"] in ("conv2d", "maxpool2d", "meanpool2d"):
        deep["stride"] = [1, net["stride"][0], net["stride"][1]]
        deep["padding"] = [0, net["padding"][0], net["padding"][1]]
    if "children" in net:
        deep["children"] = {}
        for name in net["children"]:
            deep["children"][name] = inflate_network(net["children"][name], depth, convolution)
    return deep


# %% fixed_point
def frame_errors(image, frames, image_net, video_net):
    rows = []
    for one in image:
        a = image_net(one[None])[0].tolist()
        b = video_net(torch.stack([one] * frames, 1)[None])[0].tolist()
        mean = sum(a) / len(a)
        s = (sum((v - mean) ** 2 for v in a) / len(a)) ** 0.5
        rows.append([max(abs(v - u) for u, v in zip(a, frame)) / s for frame in b])
    return rows


def reached(depths, frames):
    wrong = [False] * frames
    for depth in depths:
        front = (depth - 1) // 2
        now = []
        for t in range(frames):
            seen = range(t - front, t + depth - front)
            now.append(any(k < 0 or k >= frames or wrong[k] for k in seen))
        wrong = now
    return wrong
