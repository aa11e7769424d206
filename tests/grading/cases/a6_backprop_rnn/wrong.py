"Answers of a6_backprop_rnn that are wrong by one plausible misconception; ``coursegrade.cases`` says how to read them."

Z = "z = x @ W1.T + b1"
H = "h = 1 / (1 + torch.exp(-z))"
Y = "y_hat = h @ W2.T + b2"
STAGES = 'return {"z": z, "h": h, "y_hat": y_hat, "L": ((y_hat - y) ** 2).mean()}'
LOSS = "((y_hat - y) ** 2).mean()"
FORWARD = [
    (
        "forward",
        "forward_stages",
        "a row for each input",
        [
            ("no bias", Z, "z = x @ W1.T"),
            ("no second bias", Y, "y_hat = h @ W2.T"),
            ("tanh for σ", H, "h = torch.tanh(z)"),
            ("ReLU for σ", H, "h = torch.relu(z)"),
            ("no bend", H, "h = z"),
            ("σ at the end too", Y, "y_hat = torch.sigmoid(h @ W2.T + b2)"),
            ("the sum of squares", LOSS, "((y_hat - y) ** 2).sum()"),
            ("half the mean", LOSS, "((y_hat - y) ** 2).mean() / 2"),
            ("absolute differences", LOSS, "(y_hat - y).abs().mean()"),
            ("the square of the mean", LOSS, "(y_hat - y).mean() ** 2"),
            ("the root of the mean", LOSS, "((y_hat - y) ** 2).mean().sqrt()"),
            ("one loss a row", LOSS, "((y_hat - y) ** 2).mean(1)"),
            ("the loss alone", STAGES, "return ((y_hat - y) ** 2).mean()"),
            ("σ of z without the minus", H, "h = 1 / (1 + torch.exp(z - 1))"),
        ],
    ),
    (
        "forward",
        "forward_stages",
        "several inputs, hidden units and answers",
        [
            ("summed over answers, mean over rows", LOSS, "((y_hat - y) ** 2).sum(1).mean()"),
            ("the first bias for every unit", Z, "z = x @ W1.T + b1[0]"),
            ("W1 turned where the shapes force it", Z, "z = x @ (W1 if W1.shape[0] == W1.shape[1] else W1.T) + b1"),
            (
                "the mean of the biases for every unit",
                Z,
                "z = x @ W1.T + b1.mean()",
            ),
        ],
    ),
    (
        "forward",
        "forward_far",
        "large numbers must not become NaN",
        [
            ("e to the z over 1 + e to the z", H, "h = torch.exp(z) / (1 + torch.exp(z))"),
            (
                "math.exp",
                H,
                (
                    "import math\n\n"
                    "    h = torch.tensor([[1 / (1 + math.exp(-v)) for v in row] for row in "
                    "z.tolist()]).double()"
                ),
            ),
            ("z cut at 1", H, "h = 1 / (1 + torch.exp(-z.clamp(-1, 1)))"),
            ("σ as a straight line", H, "h = 0.5 + z / 4"),
            ("tanh of half, not moved", H, "h = torch.tanh(z / 2) / 2"),
        ],
    ),
]

SQUARE = "return 2 * (y_hat - y) / y.numel()"
LINEAR = 'return {"u": d @ W, "W": d.T @ u, "b": d.sum(0)}'
SIGMOID = "return d * h * (1 - h)"
GATES = [
    (
        "gates",
        "gate_square",
        "twice the difference",
        [
            ("the 2 forgotten", SQUARE, "return (y_hat - y) / y.numel()"),
            ("truth minus answer", SQUARE, "return 2 * (y - y_hat) / y.numel()"),
            ("no mean", SQUARE, "return 2 * (y_hat - y)"),
            ("over the rows alone", SQUARE, "return 2 * (y_hat - y) / len(y)"),
            ("the size without the sign", SQUARE, "return 2 * (y_hat - y).abs() / y.numel()"),
            ("the loss itself", SQUARE, "return (y_hat - y) ** 2 / y.numel()"),
            ("one number", SQUARE, "return 2 * (y_hat - y).mean()"),
            ("signs alone", SQUARE, "return torch.sign(y_hat - y)"),
        ],
    ),
    (
        "gates",
        "gate_square",
        "another number of rows and columns",
        [("over four in any case", SQUARE, "return 2 * (y_hat - y) / (4 if y.numel() > 1 else 1)")],
    ),
    (
        "gates",
        "gate_input",
        "it has the shape of u",
        [
            (
                "W turned, for u",
                LINEAR,
                LINEAR.replace("d @ W,", "d @ W.T if W.shape[0] == W.shape[1] else d * W.sum(0),"),
            ),
            ("the local gradient alone for u", LINEAR, LINEAR.replace("d @ W,", "W.sum(0).expand(len(d), -1),")),
            ("u and W mixed up", LINEAR, 'return {"u": d.T @ u, "W": d @ W, "b": d.sum(0)}'),
            ("from the first output alone", LINEAR, LINEAR.replace("d @ W,", "d[:, :1] @ W[:1],")),
        ],
    ),
    (
        "gates",
        "gate_input",
        "from which output comes what",
        [
            (
                "W turned where the shapes allow it",
                LINEAR,
                LINEAR.replace("d @ W,", "d @ W.T if W.shape[0] == W.shape[1] and len(W) > 1 else d @ W,"),
            ),
        ],
    ),
    (
        "gates",
        "gate_weights",
        "weights and bias serve every row",
        [
            ("the gradient at W turned", LINEAR, LINEAR.replace("d.T @ u", "u.T @ d")),
            ("the mean over rows for W", LINEAR, LINEAR.replace("d.T @ u", "d.T @ u / len(d)")),
            ("the mean over rows for b", LINEAR, LINEAR.replace("d.sum(0)", "d.mean(0)")),
            ("a row of b for each input", LINEAR, LINEAR.replace("d.sum(0)", "d")),
            ("one number for b", LINEAR, LINEAR.replace("d.sum(0)", "d.sum()")),
            ("b by 1", LINEAR, LINEAR.replace("d.sum(0)", "torch.ones(len(W))")),
            ("the local gradient alone for W", LINEAR, LINEAR.replace("d.T @ u", "u.sum(0).expand(len(W), -1)")),
            ("the last row alone", LINEAR, LINEAR.replace("d.T @ u", "d[-1:].T @ u[-1:]").replace("d.sum(0)", "d[-1]")),
            ("b with the input", LINEAR, LINEAR.replace("d.sum(0)", "d.T @ u.sum(1)")),
        ],
    ),
    (
        "gates",
        "gate_weights",
        "which axis is summed",
        [
            ("two rows at most", LINEAR, LINEAR.replace("d.T @ u", "d[:2].T @ u[:2]")),
            ("W folded", LINEAR, LINEAR.replace("d.T @ u", "(u.T @ d).reshape(W.shape)")),
        ],
    ),
    (
        "gates",
        "gate_sigmoid",
        "times the slope h (1 - h)",
        [
            ("the slope alone", SIGMOID, "return h * (1 - h)"),
            ("σ of h once more", SIGMOID, "return d * torch.sigmoid(h) * (1 - torch.sigmoid(h))"),
            ("1 - h alone", SIGMOID, "return d * (1 - h)"),
            ("h alone", SIGMOID, "return d * h"),
            ("the slope of tanh", SIGMOID, "return d * (1 - h**2)"),
            ("h (h - 1)", SIGMOID, "return d * h * (h - 1)"),
            ("divided by the slope", SIGMOID, "return d / (h * (1 - h)).clamp(min=1e-9)"),
            ("summed over units", SIGMOID, "return (d * h * (1 - h)).sum(1)"),
        ],
    ),
    (
        "gates",
        "gate_sigmoid",
        "may have any sign and size",
        [
            ("cut at -4", SIGMOID, "return d.clamp(min=-4) * h * (1 - h)"),
            ("the first row's slope", SIGMOID, "return d * (h * (1 - h))[:1]"),
        ],
    ),
]

SECOND = "second = linear_back(square_back(y_hat, y), h, W2)"
FIRST = 'first = linear_back(sigmoid_back(second["u"], h), x, W1)'
ALL = 'return {"W1": first["W"], "b1": first["b"], "W2": second["W"], "b2": second["b"], "x": first["u"]}'
NETWORK_BACK = [
    (
        "network_back",
        "network_second",
        "what the loss sends back to the answer",
        [
            ("the loss skipped", SECOND, "second = linear_back(y_hat - y, h, W2)"),
            ("1 for the gradient at the answer", SECOND, "second = linear_back(torch.ones_like(y_hat), h, W2)"),
            ("truth and answer swapped", SECOND, "second = linear_back(square_back(y, y_hat), h, W2)"),
            (
                "the sigmoid before the second weights",
                SECOND,
                "second = linear_back(sigmoid_back(square_back(y_hat, y), torch.sigmoid(y_hat)), h, W2)",
            ),
            (
                "W1 and W2 swapped",
                ALL,
                ALL.replace('first["W"]', "_").replace('second["W"]', 'first["W"]').replace("_,", 'second["W"],'),
            ),
            (
                "downhill: the sign turned",
                ALL,
                ALL.replace("return {", "return {k: -v for k, v in {").replace('"]}', '"]}.items()}'),
            ),
        ],
    ),
    (
        "network_back",
        "network_second",
        "which of the two linear gates is it",
        [
            (
                "b1 and b2 swapped",
                ALL,
                ALL.replace('first["b"]', "_").replace('second["b"]', 'first["b"]').replace("_,", 'second["b"],'),
            ),
            (
                "the first row alone",
                SECOND,
                "x, h = x[:1], h[:1]\n    second = linear_back(square_back(y_hat, y)[:1], h, W2)",
            ),
        ],
    ),
    (
        "network_back",
        "network_first",
        "each gets the gradient at its own output",
        [
            ("the sigmoid skipped", FIRST, 'first = linear_back(second["u"], x, W1)'),
            ("the gradient at h for that at x", ALL, ALL.replace('first["u"]', 'second["u"]')),
            ("ones for the inputs", FIRST, 'first = linear_back(sigmoid_back(second["u"], h), 0 * x + 1, W1)'),
            ("the second weights skipped", FIRST, "first = linear_back(sigmoid_back(h, h), x, W1)"),
            (
                "the gradient of the answer twice",
                FIRST,
                "first = linear_back(sigmoid_back(square_back(y_hat, y) @ W2, 1 - h) * 2, x, W1)",
            ),
            ("stops at the hidden units", FIRST, 'first = {"W": 0 * W1, "b": 0 * W1[:, 0], "u": 0 * x}'),
        ],
    ),
    (
        "network_back",
        "network_first",
        "all rows and all answers send something back",
        [
            (
                "the gradient at h from the first answer alone",
                FIRST,
                "first = linear_back(sigmoid_back(square_back(y_hat, y)[:, :1] @ W2[:1], h), x, W1)",
            ),
            (
                "the first hidden unit's slope for all",
                FIRST,
                'first = linear_back(sigmoid_back(second["u"], h[:, :1].expand_as(h)), x, W1)',
            ),
        ],
    ),
]

STEP = "return torch.tanh(x @ W.T + h @ U.T + b)"
DZ = "dz = d * (1 - h_new**2)"
BACK = 'return {"W": dz.T @ x, "U": dz.T @ h, "b": dz.sum(0), "x": dz @ W, "h": dz @ U}'
RNN = [
    (
        "rnn",
        "step_forward",
        "the new frame through W",
        [
            ("no tanh", STEP, "return x @ W.T + h @ U.T + b"),
            ("σ for tanh", STEP, "return torch.sigmoid(x @ W.T + h @ U.T + b)"),
            ("no memory", STEP, "return torch.tanh(x @ W.T + b)"),
            ("no bias", STEP, "return torch.tanh(x @ W.T + h @ U.T)"),
            ("U not turned", STEP, "return torch.tanh(x @ W.T + h @ U + b)"),
            ("the old state as it is", STEP, "return torch.tanh(x @ W.T + h + b)"),
            ("added outside", STEP, "return torch.tanh(x @ W.T + b) + h @ U.T"),
            ("tanh twice", STEP, "return torch.tanh(x @ W.T + torch.tanh(h) @ U.T + b)"),
            ("the mean of both", STEP, "return torch.tanh((x @ W.T + h @ U.T) / 2 + b)"),
            ("W and U swapped", STEP, "return torch.tanh(x.sum(1, keepdim=True) * U.sum(1) + h @ U.T + b)"),
        ],
    ),
    (
        "rnn",
        "step_forward",
        "the old state is read as U says, row by row",
        [
            (
                "the first old state for all",
                STEP,
                "return torch.tanh(x @ W.T + (h[:1] if len(h) > 2 else h) @ U.T + b)",
            ),
            ("two hidden units at most", STEP, "return torch.tanh(x @ W.T + h[:, :2] @ U[:, :2].T + b)"),
        ],
    ),
    (
        "rnn",
        "step_weights",
        "first through tanh",
        [
            ("tanh skipped", DZ, "dz = d"),
            ("the slope of the sigmoid", DZ, "dz = d * h_new * (1 - h_new)"),
            ("the slope at the old state", DZ, "dz = d * (1 - h**2)"),
            ("the slope at d", DZ, "dz = 1 - torch.tanh(d) ** 2"),
            ("1 - h, not squared", DZ, "dz = d * (1 - h_new)"),
            ("tanh of the new state once more", DZ, "dz = d * (1 - torch.tanh(h_new) ** 2)"),
            ("U by the new state", BACK, BACK.replace("dz.T @ h,", "dz.T @ h_new,")),
            ("U by the frame", BACK, BACK.replace("dz.T @ h,", "dz.T @ x[:, :1].expand(-1, h.shape[1]),")),
            ("means for sums", BACK, BACK.replace("dz.T @ x", "dz.T @ x / len(x)")),
            ("b not summed", BACK, BACK.replace("dz.sum(0)", "dz")),
            ("b before tanh", BACK, BACK.replace("dz.sum(0)", "d.sum(0)")),
        ],
    ),
    (
        "rnn",
        "step_weights",
        "the row of a weight is the unit it leads to",
        [
            ("U turned", BACK, BACK.replace("dz.T @ h,", "h.T @ dz,")),
            ("W turned and folded", BACK, BACK.replace("dz.T @ x", "(x.T @ dz).reshape(W.shape)")),
        ],
    ),
    (
        "rnn",
        "step_inputs",
        "times W for the frame and times U for the old state",
        [
            ("U turned for the old state", BACK, BACK.replace("dz @ U", "dz @ U.T")),
            ("the old state by W", BACK, BACK.replace("dz @ U", "dz @ W[:, :1].expand(-1, len(U))")),
            ("the frame by U", BACK, BACK.replace("dz @ W", "(dz @ U)[:, :1].expand(-1, W.shape[1])")),
            ("d as it is for the old state", BACK, BACK.replace("dz @ U", "d")),
            ("behind tanh, not through U", BACK, BACK.replace("dz @ U", "dz")),
            ("summed over units", BACK, BACK.replace("dz @ W", "dz.sum(1, keepdim=True) * W.sum(0)")),
        ],
    ),
    (
        "rnn",
        "step_inputs",
        "has come through tanh, as what goes to the weights has",
        [
            ("tanh skipped on the way to the inputs", BACK, BACK.replace("dz @", "d @")),
            ("tanh skipped on the way to the old state", BACK, BACK.replace("dz @ U", "d @ U")),
        ],
    ),
    (
        "rnn",
        "step_inputs",
        "each clip for itself",
        [
            ("the sum over clips", BACK, BACK.replace("dz @ W", "(dz @ W).sum(0).expand(x.shape)")),
            ("the mean over clips", BACK, BACK.replace("dz @ U", "(dz @ U).mean(0).expand(h.shape)")),
        ],
    ),
]

LOOP = "for t in reversed(range(len(x))):"
CALL = "step = step_back(d[t] + carried, x[t], h[t], h[t + 1], W, U)"
ADD = "total = {name: total[name] + step[name] for name in total}"
CARRY = 'carried = step["h"]'
END = 'return total | {"h": carried}'
THROUGH_TIME = [
    (
        "through_time",
        "time_sum",
        "their gradient is a sum over steps",
        [
            ("the last one written", ADD, "total = {name: step[name] for name in total}"),
            ("the mean over steps", ADD, "total = {name: total[name] + step[name] / len(x) for name in total}"),
            ("the last frame alone", LOOP, "for t in [len(x) - 1]:"),
            ("the first frame left out", LOOP, "for t in reversed(range(1, len(x))):"),
            ("the last frame left out", LOOP, "for t in reversed(range(len(x) - 1)):"),
            ("states one too late", CALL, "step = step_back(d[t] + carried, x[t], h[t + 1], h[t + 1], W, U)"),
            (
                "old and new state swapped",
                CALL,
                "step = step_back(d[t] + carried, x[t], h[t + 1], h[t].clamp(-0.9, 0.9), W, U)",
            ),
            ("one d for all steps", CALL, "step = step_back(d[-1] + carried, x[t], h[t], h[t + 1], W, U)"),
            ("the sum of d at every step", CALL, "step = step_back(d.sum(0) + carried, x[t], h[t], h[t + 1], W, U)"),
            (
                "frames from the end, states from the start",
                CALL,
                "step = step_back(d[t] + carried, x[len(x) - 1 - t], h[t], h[t + 1], W, U)",
            ),
            (
                "the largest of the steps",
                ADD,
                "total = {name: torch.maximum(total[name], step[name]) for name in total}",
            ),
        ],
    ),
    (
        "through_time",
        "time_sum",
        "each frame with its own states",
        [
            ("three frames at most", LOOP, "for t in reversed(range(len(x))[:3]):"),
            (
                "the first clip alone",
                LOOP,
                "x, h, d, carried = x[:, :1], h[:, :1], d[:, :1], carried[:1]\n    for t in reversed(range(len(x))):",
            ),
        ],
    ),
    (
        "through_time",
        "time_carried",
        "from its own answer and from the next step",
        [
            ("each step alone", CARRY, "carried = 0 * step['h']"),
            (
                "what is carried replaces its own",
                CALL,
                "step = step_back(carried if t < len(x) - 1 else d[t], x[t], h[t], h[t + 1], W, U)",
            ),
            ("forwards in time", LOOP, "for t in range(len(x)):"),
            ("everything carried is kept", CARRY, 'carried = carried + step["h"] + d[t]'),
            ("d is carried, not through the step", CARRY, "carried = d[t]"),
            ("carried through U alone", CARRY, "carried = (d[t] + carried) @ U"),
            ("its own answer carried past the step", CARRY, 'carried = step["h"] + d[t]'),
            ("a last step that hears from itself", "carried = torch.zeros_like(h[0])", "carried = d[-1]"),
            ("half of it", CARRY, 'carried = step["h"] / 2'),
            ("the sign turned", CARRY, 'carried = -step["h"]'),
            (
                "d of the last answer alone",
                CALL,
                "step = step_back((d[t] if t == len(x) - 1 else 0) + carried, x[t], h[t], h[t + 1], W, U)",
            ),
            ("nothing for the state before the first frame", END, 'return total | {"h": torch.zeros_like(carried)}'),
            ("the first d for that state", END, 'return total | {"h": d[0]}'),
        ],
    ),
    (
        "through_time",
        "time_carried",
        "what is sent back from the last frame reaches the first",
        [
            (
                "in pieces of four frames",
                CARRY,
                'carried = step["h"] if t % 4 or not t else 0 * step["h"]',
            ),
            ("cut at 1", CARRY, 'carried = step["h"].clamp(-30, 30) if len(x) < 4 else step["h"].clamp(-0.1, 0.1)'),
        ],
    ),
]

IMAGES = "images = clips.transpose(1, 2).flatten(0, 1)"
SAID = "said = torch.cat([torch.as_tensor(frame_net(part)) for part in images.split(at_once)])"
FOLD = "return said.unflatten(0, (clips.shape[0], clips.shape[2]))"
FEATURES_OF = [
    (
        "features_of",
        "features_order",
        "bring time in front of the channels",
        [
            (
                "flattened as it lies",
                IMAGES,
                "n, c, t, height, width = clips.shape\n    images = clips.reshape(n * t, c, height, width)",
            ),
            ("time first, then clips", IMAGES, "images = clips.permute(2, 0, 1, 3, 4).flatten(0, 1)"),
            ("folded as time and clips", FOLD, "return said.unflatten(0, (clips.shape[2], clips.shape[0]))"),
            ("not folded", FOLD, "return said"),
            ("the mean over time", FOLD, "return said.unflatten(0, (clips.shape[0], clips.shape[2])).mean(1)"),
            ("the last frame", FOLD, "return said.unflatten(0, (clips.shape[0], clips.shape[2]))[:, -1]"),
            ("from the last frame to the first", IMAGES, "images = clips.flip(2).transpose(1, 2).flatten(0, 1)"),
            (
                "features before time",
                FOLD,
                "return said.unflatten(0, (clips.shape[0], clips.shape[2])).transpose(1, 2)",
            ),
        ],
    ),
    (
        "features_of",
        "features_order",
        "a CNN that sees places too",
        [
            ("rows and columns turned", IMAGES, "images = clips.transpose(1, 2).flatten(0, 1).transpose(2, 3)"),
            (
                "each image as its mean",
                IMAGES,
                (
                    "images = clips.transpose(1, 2).flatten(0, 1)\n"
                    "    images = images.mean((2, 3), keepdim=True).expand(images.shape)"
                ),
            ),
        ],
    ),
    (
        "features_of",
        "features_once",
        "parts of at most at_once",
        [
            ("all at once", SAID, "said = torch.as_tensor(frame_net(images))"),
            (
                "clip by clip",
                SAID,
                "said = torch.cat([torch.as_tensor(frame_net(part)) for part in images.split(clips.shape[2])])",
            ),
            (
                "the last part left out",
                SAID,
                (
                    "parts = [p for p in images.split(at_once) if len(p) == at_once]\n"
                    "    said = torch.cat([torch.as_tensor(frame_net(part)) for part in parts])"
                ),
            ),
            (
                "as many parts as at_once",
                SAID,
                "said = torch.cat([torch.as_tensor(frame_net(part)) for part in images.chunk(2)])",
            ),
        ],
    ),
    (
        "features_of",
        "features_once",
        "did not show the CNN each of the frames once",
        [
            ("looked at once for the width", SAID, "frame_net(images[:1])\n    " + SAID),
            (
                "everything anew for each clip",
                SAID,
                (
                    "said = [torch.cat([torch.as_tensor(frame_net(part)) for part in "
                    "images.split(at_once)]) for _ in clips][0]"
                ),
            ),
        ],
    ),
    (
        "features_of",
        "features_once",
        "in any number of parts",
        [
            (
                "four at a time",
                SAID,
                "said = torch.cat([torch.as_tensor(frame_net(part)) for part in images.split(4)])",
            ),
            (
                "three parts at most",
                SAID,
                "said = torch.cat([torch.as_tensor(frame_net(part)) for part in images.split(at_once)[:3]])",
            ),
        ],
    ),
]

WRONG = FORWARD + GATES + NETWORK_BACK + RNN + THROUGH_TIME + FEATURES_OF
