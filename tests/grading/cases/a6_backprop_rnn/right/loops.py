# Plain Python: loops, lists and numbers.

# %% forward
import math


def forward(x, y, W1, b1, W2, b2):
    def line(rows, weights, bias):
        return [[sum(a * w for a, w in zip(row, ws)) + c for ws, c in zip(weights, bias)] for row in rows]

    def sigma(v):
        return 1 / (1 + math.exp(-v)) if v > 0 else 1 - 1 / (1 + math.exp(v))

    z = line(x.tolist(), W1.tolist(), b1.tolist())
    h = [[sigma(v) for v in row] for row in z]
    y_hat = line(h, W2.tolist(), b2.tolist())
    squares = [(a - t) ** 2 for row, truth in zip(y_hat, y.tolist()) for a, t in zip(row, truth)]
    return {"z": z, "h": h, "y_hat": y_hat, "L": sum(squares) / len(squares)}


# %% gates
def square_back(y_hat, y):
    n, k = y.shape
    return [[2 * (a - t) / (n * k) for a, t in zip(row, truth)] for row, truth in zip(y_hat.tolist(), y.tolist())]


def linear_back(d, u, W):
    n, k, m = len(d), len(W), len(W[0])
    du, dW, db = [[0.0] * m for _ in range(n)], [[0.0] * m for _ in range(k)], [0.0] * k
    for i in range(n):
        for o in range(k):
            db[o] += float(d[i][o])
            for j in range(m):
                du[i][j] += float(d[i][o]) * float(W[o][j])
                dW[o][j] += float(d[i][o]) * float(u[i][j])
    return {"u": du, "W": dW, "b": db}


def sigmoid_back(d, h):
    return [[a * v * (1 - v) for a, v in zip(row, values)] for row, values in zip(d.tolist(), h.tolist())]


# %% network_back
def network_back(x, y, W1, W2, h, y_hat, square_back, linear_back, sigmoid_back):
    result = {}
    d = square_back(y_hat, y)
    for place, inputs, weights in ((2, h, W2), (1, x, W1)):
        parts = linear_back(d, inputs, weights)
        result[f"W{place}"], result[f"b{place}"] = parts["W"], parts["b"]
        if place == 2:
            d = sigmoid_back(parts["u"], h)
    result["x"] = parts["u"]
    return result


# %% rnn
def rnn_step(x, h, W, U, b):
    new = []
    for frame, old in zip(x.tolist(), h.tolist()):
        row = []
        for w, u, c in zip(W.tolist(), U.tolist(), b.tolist()):
            total = c
            for value, weight in [*zip(frame, w), *zip(old, u)]:
                total += value * weight
            row.append(math.tanh(total))
        new.append(row)
    return new


def rnn_step_back(d, x, h, h_new, W, U):
    found = {name: torch.zeros_like(v) for name, v in (("W", W), ("U", U), ("b", U[0]), ("x", x), ("h", h))}
    for n in range(len(x)):
        for i in range(len(U)):
            dz = d[n, i] * (1 - h_new[n, i]) * (1 + h_new[n, i])
            found["b"][i] += dz
            for f in range(x.shape[1]):
                found["W"][i, f] += dz * x[n, f]
                found["x"][n, f] += dz * W[i, f]
            for j in range(len(U)):
                found["U"][i, j] += dz * h[n, j]
                found["h"][n, j] += dz * U[i, j]
    return found


# %% through_time
def through_time(x, h, d, W, U, step_back):
    total, carried = {"W": 0, "U": 0, "b": 0}, 0
    t = len(x)
    while t:
        t -= 1
        step = step_back(d[t] + carried, x[t], h[t], h[t + 1], W, U)
        for name in total:
            total[name] = total[name] + step[name]
        carried = step["h"]
    total["h"] = carried
    return total


# %% features_of
def features_of(clips, frame_net, at_once):
    n, _, frames, _, _ = clips.shape
    waiting, said = [], []
    for i in range(n):
        for t in range(frames):
            waiting.append(clips[i, :, t])
            if len(waiting) == at_once or (i, t) == (n - 1, frames - 1):
                said.extend(frame_net(torch.stack(waiting)).tolist())
                waiting = []
    return [said[i * frames : (i + 1) * frames] for i in range(n)]
