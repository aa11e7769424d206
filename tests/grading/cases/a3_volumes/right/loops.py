# Plain loops.

# %% output_shape
import math


def output_shape(size, kernel, stride, padding):
    steps = [0, 0, 0]
    for axis in range(3):
        start = -padding[axis]
        while start + kernel[axis] <= size[axis] + padding[axis]:
            steps[axis] += 1
            start += stride[axis]
    return steps


# %% layer_cost
def layer_cost(out, channels, filters, kernel, bias, bytes_each):
    cost = {"parameters": 0, "multiply_adds": 0, "output_bytes": 0}
    for _ in range(filters):
        weights = channels
        places = 1
        for k, n in zip(kernel, out):
            weights *= k
            places *= n
        cost["parameters"] += weights + (1 if bias else 0)
        cost["multiply_adds"] += places * weights
        cost["output_bytes"] += places * bytes_each
    return cost


# %% unfold3d
def unfold3d(x, kernel, stride):
    columns = []
    for z in range(0, x.shape[1] - kernel[0] + 1, stride[0]):
        for y in range(0, x.shape[2] - kernel[1] + 1, stride[1]):
            for c in range(0, x.shape[3] - kernel[2] + 1, stride[2]):
                block = x[:, z : z + kernel[0], y : y + kernel[1], c : c + kernel[2]]
                columns.append(block.flatten())
    return torch.stack(columns, 1)


# %% conv3d
def conv3d(x, weight, bias, stride, padding, unfold):
    for axis in range(3):
        shape = list(x.shape)
        shape[1 + axis] = padding[axis]
        x = torch.cat([torch.zeros(shape), x, torch.zeros(shape)], 1 + axis)
    kernel = weight.shape[2:]
    volumes = []
    for filter_, b in zip(weight, bias):
        planes = []
        for z in range(0, x.shape[1] - kernel[0] + 1, stride[0]):
            rows = []
            for y in range(0, x.shape[2] - kernel[1] + 1, stride[1]):
                row = []
                for c in range(0, x.shape[3] - kernel[2] + 1, stride[2]):
                    block = x[:, z : z + kernel[0], y : y + kernel[1], c : c + kernel[2]]
                    row.append(float((block * filter_).sum() + b))
                rows.append(row)
            planes.append(rows)
        volumes.append(planes)
    return volumes


# %% unet_output
def unet_output(size, pools):
    result = []
    for n in size:
        for level in range(pools + 1):
            n -= 2
            n -= 2
            if level < pools:
                n //= 2
        for _ in range(pools):
            n *= 2
            n -= 2
            n -= 2
        result.append(n)
    return result


# %% unet_fits
def unet_fits(size, pools):
    good = True
    for n in size:
        way = n - 4
        for _ in range(pools):
            good = good and way % 2 == 0
            way = way / 2 - 4
        for _ in range(pools):
            way = way * 2 - 4
        good = good and way > 0
    return good


# %% smallest_input
def smallest_input(wanted, answers):
    found = []
    for w in wanted:
        n = 0
        while answers[n] < w:
            n += 1
        found.append(n)
    return found


# %% masked_loss


def masked_loss(logits, target):
    total, count = 0.0, 0
    for n in range(len(target)):
        for place in (target[n] >= 0).nonzero().tolist():
            z, y, x = place
            values = logits[n, :, z, y, x].tolist()
            largest = max(values)
            sum_ = sum(math.exp(v - largest) for v in values)
            total += largest + math.log(sum_) - values[int(target[n, z, y, x])]
            count += 1
    return total / count if count else 0


# %% dice
def dice(truth, prediction):
    shared = one = other = 0
    for p, q in zip(truth.flatten().tolist(), prediction.flatten().tolist()):
        one += p != 0
        other += q != 0
        shared += p != 0 and q != 0
    return 2 * shared / (one + other) if one + other else 1


# %% agreement
def agreement(readers, dice):
    total, count = 0.0, 0
    for i, one in enumerate(readers):
        for other in readers[i + 1 :]:
            total, count = total + dice(one, other), count + 1
    return total / count
