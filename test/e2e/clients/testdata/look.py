# What an agent written with python3-docker does, as a caller that may look.
import sys

import docker

client = docker.DockerClient(base_url=sys.argv[1], version="auto")
assert client.ping()
assert client.version()["ApiVersion"]
assert client.info()["ContainersRunning"] == 1

(web,) = client.containers.list()
assert web.name == "web" and web.status == "running", web.attrs
assert web.labels["team"] == "sre"
assert "TOKEN=" in web.attrs["Config"]["Env"], web.attrs["Config"]["Env"]
assert web.stats(stream=False)["pids_stats"]["current"] >= 1
assert client.images.get("bb:1").history()
assert [v.name for v in client.volumes.list()] == ["data"]
assert "bridge" in [n.name for n in client.networks.list()]
assert client.df()["Containers"]
for event in client.events(since=0, until=1 << 31, decode=True, filters={"event": "start"}):
    assert event["Actor"]["Attributes"]["name"] == "web"
    break


def refused(what, call):
    try:
        call()
    except docker.errors.APIError as err:
        assert err.status_code == 403 and err.explanation.startswith("vitrine: "), err
        return
    raise AssertionError(what + " was allowed")


refused("run", lambda: client.containers.run("bb:1", "true"))
refused("exec", lambda: web.exec_run("true"))
refused("logs", web.logs)
refused("archive", lambda: web.get_archive("/etc/passwd"))
refused("restart", web.restart)
refused("attach", lambda: web.attach_socket(params={"stdin": 1, "stream": 1}))
refused("prune", client.containers.prune)
print("looked")
