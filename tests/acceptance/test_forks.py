"""Children that user code forks from a process that runs jobs: they schedule, run nothing, and disturb nobody."""

from __future__ import annotations

import json
import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.processes import Process, until
from tests.acceptance.sites import make_site

FORKS = 5
LOOPS = ("APScheduler", "scheduler-")
"""How the names of a loop's threads begin."""

FORKING = """
import faulthandler, json, multiprocessing, os, sys, threading, time
import work
from service import create_app, scheduler
from scheduler_app import schedule_now

WAY, FORKS = sys.argv[1], int(sys.argv[2])


def double(x):
    work.mark(f"by child {x}")
    return 2 * x


def be_child(x, pipe):
    faulthandler.dump_traceback_later(20, exit=True)  # of a child that hangs
    with app.app_context():
        job = schedule_now(double, x)
    others = set(threading.enumerate()) - {threading.current_thread()}
    names = sorted(thread.name for thread in others)
    os.write(pipe, json.dumps([job.id, names]).encode() + b"\\n")


def fork(x, pipe):
    child = os.fork()
    if child == 0 and WAY == "os.fork and exit":
        be_child(x, pipe)
        sys.exit()  # through all that Python does at an end, with copies of the parent's connections at hand
    if child == 0:
        code = 1
        try:
            be_child(x, pipe)
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fork_in_a_job(x):
    reading, writing = os.pipe()
    assert fork(x, writing) == 0
    return json.loads(os.read(reading, 10_000))


def start_process(x, pipe):
    child = multiprocessing.get_context("fork").Process(target=be_child, args=(x, pipe))
    child.start()
    child.join()
    return child.exitcode


def load(name):
    n = 0
    with app.app_context():
        while not done.is_set():
            schedule_now(work.mark, f"by {name} {n}")
            n += 1
    counts[name] = n


def result_of(job):
    with app.app_context():
        return scheduler.client.result_of(scheduler.client.wait(job, 25))


if __name__ == "__main__":
    app = create_app()
    with app.app_context():
        scheduler.start()
        first = schedule_now(double, -1).id
    assert result_of(first) == -2  # a fork while a thread imports a module would leave that module locked in the child
    done, counts = threading.Event(), {}
    loads = [threading.Thread(target=load, args=(name,)) for name in ("one", "two")]
    for thread in loads:
        thread.start()
    reading, writing = os.pipe()
    told = os.fdopen(reading)
    children = []
    try:
        for x in range(FORKS):
            if WAY == "os.fork in a job":
                with app.app_context():
                    job, names = result_of(schedule_now(fork_in_a_job, x).id)
            else:
                code = (start_process if WAY == "multiprocessing" else fork)(x, writing)
                assert code == 0, f"child {x} ended with {code}"
                job, names = json.loads(told.readline())
            children.append({"result": result_of(job), "threads": names})
    finally:
        done.set()
        for thread in loads:
            thread.join()
    print("FACTS", json.dumps({"counts": counts, "children": children}), flush=True)
    while not work.Path("open-script").exists():
        time.sleep(0.02)
"""


WAYS = ["os.fork", "os.fork and exit", "os.fork in a job", "multiprocessing"]
PLACES = [*(("sqlite", way) for way in WAYS), ("postgresql", WAYS[1]), ("mariadb", WAYS[1]), ("postgresql", WAYS[3])]
"""On SQLite each way; what a server makes of it does not depend on how the child came about, but on how it ends."""


@pytest.mark.parametrize(("database", "way"), PLACES)
def test_children_forked_amid_the_loops_work_schedule_and_the_parent_goes_on(
    database: str, way: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    site = make_site(tmp_path, request.getfixturevalue(f"{database}_url"))
    (tmp_path / "forking.py").write_text(FORKING)
    with site.run("forking.py", way, str(FORKS)) as process:
        facts = facts_of(process)
        assert [child["result"] for child in facts["children"]] == [2 * x for x in range(FORKS)]
        threads = {name for child in facts["children"] for name in child["threads"]}
        assert not [name for name in threads if name.startswith(LOOPS)]
        wanted = {f"by {name} {n}" for name, count in facts["counts"].items() for n in range(count)}
        wanted |= {f"by child {x}" for x in range(-1, FORKS)}
        forking = FORKS if way == "os.fork in a job" else 0
        site.wait_for_jobs({("succeeded", 0, 0): len(wanted) + forking})
        assert site.labels("ran") == dict.fromkeys(wanted, 1)
        assert {line.pid for line in site.lines("ran")} == site.pids_that_registered() == {process.pid}
        site.open("script")
        assert process.wait() == 0, process.said()
    assert site.workers() == 0


def facts_of(process: Process) -> Any:
    """Wait for what the parent says of its children."""

    def told() -> str:
        assert process.popen.poll() is None, process.said()
        whole, _, _begun = process.said().rpartition("\n")
        return next((line for line in whole.splitlines() if line.startswith("FACTS")), "")

    return json.loads(until(told, "the children's facts", seconds=100)[6:])


PROCESSES = """
import sys
from service import create_app
create_app().run(port=int(sys.argv[1]), threaded=False, processes=4)
"""


def test_where_each_request_has_a_process_of_its_own_jobs_run_in_the_parent_alone(
    tmp_path: Path, store_url: str
) -> None:
    site = make_site(tmp_path, store_url)
    (tmp_path / "processes.py").write_text(PROCESSES)
    labels = [f"by HTTP {i}" for i in range(24)]
    with site.run("processes.py", "PORT") as process:
        process.wait_until_it_answers()
        until(lambda: site.workers() == 1, f"a worker\n{process.said()}")
        with ThreadPoolExecutor(4) as pool:
            ask = partial(process.post, "/schedule", after=0, function="work_briefly")
            answers = [answer.json() for answer in pool.map(lambda label: ask(label=label), labels)]
        site.wait_for_jobs({("succeeded", 0, 0): len(labels)})
        assert process.pid not in {answer["pid"] for answer in answers}
        assert site.labels("ran") == dict.fromkeys(labels, 1)
        assert {line.pid for line in site.lines("ran")} == site.pids_that_registered() == {process.pid}
        process.post("/schedule", after=0, function="hold", label="long")
        site.wait_for("began", "long")
        process.send(signal.SIGTERM)
        site.wait_for("ending", "long")
        site.open("long")
        process.wait()
    site.wait_for_jobs({("succeeded", 0, 0): len(labels) + 1})
