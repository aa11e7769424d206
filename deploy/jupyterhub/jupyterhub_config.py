"""A class on one server: systemd runs and limits everybody's JupyterLab under an account of their own (see README.md).

What differs from place to place is read from /etc/jupyterhub.env.
"""

import grp
import os
import pwd
from pathlib import Path

from jupyterhub.auth import LocalAuthenticator

c = get_config()
cores = os.environ.get("STUDENT_CORES", "2")

port = int(os.environ.get("HUB_PORT", "8000"))  # and the two after it
c.JupyterHub.bind_url = f"http://127.0.0.1:{port}"  # the web server before it speaks TLS
c.JupyterHub.hub_port = port + 1
c.ConfigurableHTTPProxy.api_url = f"http://127.0.0.1:{port + 2}"
c.JupyterHub.cleanup_servers = False  # people go on working while the hub restarts

c.JupyterHub.spawner_class = "systemdspawner.SystemdSpawner"
c.SystemdSpawner.mem_limit = os.environ.get("STUDENT_MEMORY", "4G")  # a person's processes together
c.SystemdSpawner.cpu_limit = float(cores)
c.SystemdSpawner.environment = {"OMP_NUM_THREADS": cores}  # PyTorch would start a thread for each core of the server
c.SystemdSpawner.unit_extra_properties = {
    "TasksMax": os.environ.get("STUDENT_TASKS", "500"),  # processes and threads
    "ProtectProc": "invisible",  # other people's processes
}
c.SystemdSpawner.extra_paths = ["/opt/course/bin"]
c.SystemdSpawner.isolate_tmp = True
c.SystemdSpawner.start_timeout = c.SystemdSpawner.http_timeout = 180  # a whole class starts at the same minute
c.SystemdSpawner.default_url = "/lab"
c.SystemdSpawner.args = [  # what nobody uses for two hours gives its memory back
    "--MappingKernelManager.cull_idle_timeout=7200",
    "--ServerApp.shutdown_no_activity_timeout=7200",
]
if data := os.environ.get("COURSEKIT_DATA"):
    c.SystemdSpawner.environment["COURSEKIT_DATA"] = data


def prepare(spawner):
    """Nobody else looks into a home, however the account was made; and who grades may use all of the server."""
    account = pwd.getpwnam(spawner.user.name)
    Path(account.pw_dir).chmod(0o700)
    if account.pw_name in grp.getgrnam("instructors").gr_mem:
        spawner.mem_limit = spawner.cpu_limit = None


c.Spawner.pre_spawn_hook = prepare

c.LocalAuthenticator.allowed_groups = {"students", "instructors"}
c.PAMAuthenticator.admin_groups = {"instructors"}  # may stop servers, not enter them
c.Authenticator.username_pattern = r"[a-z][a-z0-9_-]{0,30}\Z"

if issuer := os.environ.get("LTI_ISSUER"):
    from ltiauthenticator.lti13.auth import LTI13Authenticator

    class FromLMS(LocalAuthenticator, LTI13Authenticator):
        """Whoever the LMS sends gets an account; one that was there before is entered only if it is of the class."""

        def check_allowed(self, username, authentication=None):
            try:
                pwd.getpwnam(username)
            except KeyError:
                return True
            return self.check_allowed_groups(username, authentication)  # else somebody called root would be root

    c.JupyterHub.authenticator_class = FromLMS
    c.LocalAuthenticator.create_system_users = True
    c.LocalAuthenticator.add_user_cmd = ["useradd", "--create-home", "--shell", "/bin/bash", "--groups", "students"]
    c.LTI13Authenticator.issuer = issuer
    c.LTI13Authenticator.client_id = set(os.environ["LTI_CLIENT_ID"].split())
    c.LTI13Authenticator.authorize_url = os.environ["LTI_AUTHORIZE_URL"]
    c.LTI13Authenticator.jwks_endpoint = os.environ["LTI_JWKS_URL"]
    c.LTI13Authenticator.username_key = os.environ.get("LTI_USERNAME_KEY", "custom_username")
