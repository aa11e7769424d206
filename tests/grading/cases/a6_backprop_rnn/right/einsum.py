# Sums over named axes; gradients that are not contiguous.

# %% forward
def forward(x, y, W1, b1, W2, b2):
    z = torch.einsum("nd,md->mn", x, W1).T + b1
    h = z.sigmoid()
    y_hat = torch.einsum("nm,km->kn", h, W2).T + b2
    return {"z": z, "h": h, "y_hat": y_hat, "L": torch.nn.functional.mse_loss(y_hat, y).reshape(1)}


# %% gates
def square_back(y_hat, y):
    return (y_hat - y).T.mul(2).div(y.shape[0]).div(y.shape[1]).T


def linear_back(d, u, W):
    return {
        "u": torch.einsum("nk,km->mn", d, W).T,
        "W": torch.einsum("nk,nm->mk", d, u).T,
        "b": torch.einsum("nk->k", d),
    }


def sigmoid_back(d, h):
    return torch.einsum("nm,nm,nm->mn", d, h, 1 - h).T


# %% network_back
def network_back(x, y, W1, W2, h, y_hat, square_back, linear_back, sigmoid_back):
    """All of it here, the gates left where they are."""
    d = 2 * (y_hat - y) / y.numel()
    dz = torch.einsum("nk,km,nm->nm", d, W2, h * (1 - h))
    return {
        "W2": torch.einsum("nk,nm->km", d, h),
        "b2": d.sum(0),
        "W1": torch.einsum("nm,nd->md", dz, x),
        "b1": dz.sum(0),
        "x": torch.einsum("nm,md->nd", dz, W1),
    }


# %% rnn
def rnn_step(x, h, W, U, b):
    return (torch.einsum("nf,mf->nm", x, W) + torch.einsum("nj,mj->nm", h, U) + b).tanh()


def rnn_step_back(d, x, h, h_new, W, U):
    slope = torch.diag_embed(1 - h_new.square())  # (N, M, M), the table of tanh
    dz = torch.einsum("ni,nij->jn", d, slope).T
    return {
        "W": torch.einsum("nm,nf->fm", dz, x).T,
        "U": torch.einsum("nm,nj->jm", dz, h).T,
        "b": torch.einsum("nm->m", dz),
        "x": torch.einsum("nm,mf->fn", dz, W).T,
        "h": torch.einsum("nm,mj->jn", dz, U).T,
    }


# %% through_time
def through_time(x, h, d, W, U, step_back):
    """All dz first, then each sum at once."""
    carried, found = torch.zeros_like(h[0]), []
    for t in range(len(x) - 1, -1, -1):
        found.insert(0, (d[t] + carried) * (1 - h[t + 1] ** 2))
        carried = found[0] @ U
    dz = torch.stack(found)
    return {
        "W": torch.einsum("tnm,tnf->mf", dz, x),
        "U": torch.einsum("tnm,tnj->mj", dz, h[:-1]),
        "b": torch.einsum("tnm->m", dz),
        "h": carried,
    }


# %% features_of
def features_of(clips, frame_net, at_once):
    images = torch.einsum("nctyx->ntcyx", clips).reshape(-1, clips.shape[1], *clips.shape[3:])
    parts = -(-len(images) // at_once)
    said = torch.cat([frame_net(images[k * at_once : (k + 1) * at_once]) for k in range(parts)])
    return torch.stack(said.chunk(len(clips))).transpose(0, 1).contiguous().transpose(0, 1)
