"""Read by every kernel of the environment: a notebook is told its language, but not which Python it was last opened
with.

JupyterLab writes into a notebook what the kernel says of its language. With Python's version in it, opening a lecture
on another computer would change the file.
"""

from ipykernel.ipkernel import IPythonKernel


class Kernel(IPythonKernel):
    """IPython's kernel; JupyterLab finds the same language everywhere."""

    language_info = {key: value for key, value in IPythonKernel.language_info.items() if key != "version"}  # noqa: RUF012


c = get_config()
c.IPKernelApp.kernel_class = Kernel
