# What an orchestrator written with python3-docker does, as an admin that must notice nothing. Prints what it sees.
import io
import json
import os
import sys
import tarfile
import tempfile

import docker

client = docker.DockerClient(base_url="unix://" + sys.argv[1], version="auto", timeout=60)
api = client.api


def say(what, call):
    try:
        got = call()
    except docker.errors.APIError as err:
        got = (err.status_code, err.explanation)
    except Exception as err:
        got = (type(err).__name__, str(err))
    print(what + ":", json.dumps(got, default=str, sort_keys=True))
    return got


def tar(name, text):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as t:
        info = tarfile.TarInfo(name)
        info.size = len(text)
        t.addfile(info, io.BytesIO(text))
    return out.getvalue()


def log(stream):
    return [line.get("stream", sorted(line)) for line in stream]


folder = tempfile.mkdtemp()
context, outside = folder + "/context", folder + "/Dockerfile.outside"
os.mkdir(context)
for name, text in ((context + "/Dockerfile", "FROM bb:1\nARG WHO\nCOPY file /file\nRUN echo $WHO >/who\n"),
                   (context + "/file", "content\n"), (outside, "FROM bb:1\nCOPY file /outside\n")):
    with open(name, "w") as f:
        f.write(text)

say("ping", client.ping)
say("build", lambda: log(api.build(path=context, tag="py:1", buildargs={"WHO": "you"}, labels={"a": "b"}, rm=True, decode=True, nocache=True)))
say("build, compressed", lambda: log(api.build(path=context, tag="py:2", gzip=True, rm=True, decode=True)))
say("build, Dockerfile outside", lambda: log(api.build(path=context, tag="py:3", dockerfile=outside, rm=True, decode=True)))
say("build, limits", lambda: log(api.build(path=context, tag="py:4", rm=True, decode=True, shmsize=1 << 20, network_mode="none", extra_hosts={"h": "127.0.0.1"}, cache_from=["py:1"], target="", pull=False, squash=False)))
say("build, no Dockerfile", lambda: log(api.build(fileobj=io.BytesIO(tar("x", b"")), custom_context=True, rm=True, decode=True)))
say("history", lambda: [h["CreatedBy"] for h in client.images.get("py:1").history()])

network = say("network", lambda: client.networks.create("pynet", driver="bridge", labels={"a": "b"}).name)
say("volume", lambda: client.volumes.create("pyvol", labels={"a": "b"}).attrs)
web = client.containers.create("bb:1", ["sh", "-c", "echo out; sleep 1; echo err >&2; echo >/written; sleep 1000"], name="pyweb", environment={"A": "b"}, labels={"a": "b"},
                               network="pynet", volumes={"pyvol": {"bind": "/v", "mode": "rw"}}, mem_limit="64m", cap_add=["NET_ADMIN"],
                               healthcheck={"test": ["NONE"]}, ulimits=[docker.types.Ulimit(name="nofile", soft=64, hard=64)],
                               restart_policy={"Name": "on-failure", "MaximumRetryCount": 2}, tmpfs={"/t": "size=1m"}, detach=True)
say("start", web.start)
say("start again", web.start)
say("inspect", lambda: (web.reload(), web.attrs["Config"], web.attrs["HostConfig"]["Binds"])[1:])
say("exec", lambda: web.exec_run(["sh", "-c", "echo in; echo err >&2; sleep 1; exit 4"], environment={"B": "c"}, demux=True))
say("exec as a stream", lambda: [b"".join(web.exec_run(["sh", "-c", "echo in; sleep 1"], stream=True).output).decode()])
exec_id = api.exec_create("pyweb", "sleep 1000", tty=True)["Id"]
say("exec start, detached", lambda: str(api.exec_start(exec_id, detach=True)))
say("exec resize", lambda: api.exec_resize(exec_id, 10, 20))
say("exec inspect", lambda: sorted(api.exec_inspect(exec_id)))
say("put", lambda: web.put_archive("/tmp", tar("f", b"text")))
say("get", lambda: sorted(web.get_archive("/tmp/f")[1]))
say("exec until it has written", lambda: web.exec_run(["sh", "-c", "until [ -e /written ]; do sleep 0.1; done"]))
say("logs", lambda: web.logs(tail=5).decode())
say("top", lambda: web.top()["Titles"])
say("stats", lambda: sorted(web.stats(stream=False)))
say("diff", lambda: sorted(web.diff(), key=str))
say("resize", lambda: web.resize(10, 20))
say("update", lambda: web.update(mem_limit="32m", memswap_limit="32m"))
say("rename", lambda: web.rename("pyweb2"))
say("pause", web.pause)
say("unpause", web.unpause)
say("kill", lambda: web.kill("SIGUSR1"))
say("restart", lambda: web.restart(timeout=0))
say("connect", lambda: client.networks.get("bridge").connect(web, aliases=None))
say("disconnect", lambda: client.networks.get("bridge").disconnect(web, force=True))
say("commit", lambda: web.commit("pycommit", "1", message="m", author="a", changes="ENV X=y", conf={"Labels": {"c": "d"}}).tags)
say("export", lambda: sum(len(c) for c in web.export()) > 1000)
say("stop", lambda: web.stop(timeout=0))
say("wait", lambda: web.wait(timeout=10))
say("attach", lambda: [c.decode() for c in client.containers.create("bb:1", "echo attached", name="pyatt").attach(logs=True, stream=False).splitlines()] or "nothing")
say("remove", lambda: (web.remove(v=True, force=True), client.containers.get("pyatt").remove()))
say("run", lambda: client.containers.run("bb:1", ["sh", "-c", "echo ran; sleep 2"], remove=True, name="pyrun").decode())
say("run, fails", lambda: str(client.containers.run("bb:1", ["sh", "-c", "echo bad >&2; sleep 2; exit 3"], remove=True, name="pyfail")))
say("tag", lambda: client.images.get("py:1").tag("pytag", "1"))
saved = b"".join(client.images.get("py:1").save(named=True))
say("load", lambda: [i.tags for i in client.images.load(saved)])
say("import", lambda: api.import_image_from_data(tar("f", b"text"), repository="pyimp", tag="1", changes=["CMD x"]) and None)
say("images", lambda: sorted(t for i in client.images.list(filters={"dangling": False}) for t in i.tags))
say("pull, refused", lambda: client.images.pull("127.0.0.1:9/none", tag="1"))
say("push, refused", lambda: [sorted(json.loads(line)) for line in client.images.push("127.0.0.1:9/none", tag="1").splitlines()])
say("login, refused", lambda: client.login(username="u", password="p", registry="http://127.0.0.1:9"))
say("no such container", lambda: client.containers.get("none"))
say("no such exec", lambda: api.exec_inspect("none"))
say("bad create", lambda: client.containers.create("bb:1", "x", name="/bad name"))
say("events", lambda: [(e["Type"], e["Action"]) for e in client.events(since=0, until=1, decode=True)])
say("df", lambda: sorted(client.df()))
say("swarm", lambda: client.nodes.list())
say("prune", lambda: (client.containers.prune({"label": "none=1"}), client.images.prune({"label": "none=1"}), client.networks.prune({"label": "none=1"})))
say("remove the rest", lambda: ([client.images.remove(t, force=True) for t in ("py:1", "py:2", "py:3", "py:4", "pytag:1", "pycommit:1", "pyimp:1")],
                                client.networks.get("pynet").remove(), client.volumes.get("pyvol").remove(force=True)))
