"""What we rely on in APScheduler 3.x below its public surface: each hook, its signature, its callers and the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Hook:
    """Something of APScheduler's that we override, call or set."""

    name: str
    reason: str
    signature: str | None = None
    """As `inspect.signature` writes it; None for an attribute."""
    used: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Functions, and what must stand in the code of each, in this order, as `ast.unparse` writes it."""

    @property
    def leaf(self) -> str:
        """Its last name."""
        return self.name.rpartition(".")[2]


HOOKS = (
    # -- the scheduler's loop ------------------------------------------------------------------------
    Hook(
        "BaseScheduler._process_jobs",
        "our turn stands in its place: the loop calls it, and waits on the event for the seconds that it returns",
        "(self)",
        used={
            "BlockingScheduler._main_loop": [
                "while self.state != STATE_STOPPED:",
                "self._event.wait(wait_seconds)",
                "self._event.clear()",
                "wait_seconds = self._process_jobs()",
            ]
        },
    ),
    Hook(
        "BlockingScheduler._main_loop",
        "the watchdog runs it in a new thread when the old one is dead, as `start` does",
        "(self)",
        used={
            "BackgroundScheduler.start": [
                "BaseScheduler.start(self, *args, **kwargs)",
                "self._thread = Thread(target=self._main_loop, name='APScheduler', daemon=self._daemon)",
                "self._thread.start()",
            ]
        },
    ),
    Hook(
        "BlockingScheduler._event",
        "None until `start`, an Event from before the first job is looked for; our `wakeup` sets it, from any thread",
        used={
            "BackgroundScheduler.start": ["self._event = Event()", "BaseScheduler.start(self, *args, **kwargs)"],
            "BlockingScheduler.wakeup": ["self._event.set()"],
            "BlockingScheduler.shutdown": ["super().shutdown(wait)", "self._event.set()"],
        },
    ),
    Hook(
        "BackgroundScheduler._thread",
        "None while stopped; the watchdog looks at it and puts a new thread there, and the shutdown joins that one",
        used={
            "BackgroundScheduler.shutdown": [
                "super().shutdown(*args, **kwargs)",
                "self._thread.join()",
                "del self._thread",
            ]
        },
    ),
    # -- configuring ---------------------------------------------------------------------------------
    Hook(
        "BaseScheduler._configure",
        "every configuration comes through it, so that ours can keep our store, executors and lateness",
        "(self, config)",
        used={
            "BaseScheduler.__init__": ["self.configure(gconfig, **options)"],
            "BaseScheduler.configure": ["config.update(options)", "self._configure(config)"],
            "BaseScheduler._configure": [
                "config.get('job_defaults', {})",
                "self._executors.clear()",
                "config.get('executors', {})",
                "self._jobstores.clear()",
                "config.get('jobstores', {})",
            ],
        },
    ),
    Hook(
        "BaseScheduler._create_default_jobstore",
        "a scheduler without a store gets ours",
        "(self)",
        used={
            "BaseScheduler.start": [
                "if 'default' not in self._jobstores:",
                "self.add_jobstore(self._create_default_jobstore(), 'default')",
            ]
        },
    ),
    Hook(
        "BaseScheduler._job_defaults",
        "what a job does not say is filled in from it; ours keeps a lateness of None there",
        used={
            "BaseScheduler._configure": [
                "self._job_defaults = {'misfire_grace_time': asint(job_defaults.get('misfire_grace_time', 1))"
            ],
            "BaseScheduler._real_add_job": [
                "for key, value in self._job_defaults.items():",
                "if not hasattr(job, key):",
                "replacements[key] = value",
            ],
        },
    ),
    Hook(
        "BaseScheduler._executors",
        "executors by alias, started with the scheduler; our loop submits to them and takes back from them",
        used={
            "BaseScheduler.__init__": ["self._executors = {}"],
            "BaseScheduler.add_executor": ["self._executors[alias] = executor"],
            "BaseScheduler.start": ["for alias, executor in self._executors.items():", "executor.start(self, alias)"],
            "BaseScheduler.shutdown": ["for executor in self._executors.values():", "executor.shutdown(wait)"],
        },
    ),
    Hook(
        "BaseScheduler._jobstores",
        "job stores by alias; one that has been started knows its scheduler, so that ours can open without its loop",
        used={
            "BaseScheduler.__init__": ["self._jobstores = {}"],
            "BaseScheduler.add_jobstore": ["self._jobstores[alias] = jobstore"],
            "BaseScheduler.start": ["for alias, store in self._jobstores.items():", "store.start(self, alias)"],
        },
    ),
    Hook(
        "BaseScheduler._executors_lock",
        "reentrant, and taken before the other: ours holds both while it goes from open to looping",
        used={
            "BaseScheduler.start": ["with self._executors_lock:", "with self._jobstores_lock:"],
            "BaseScheduler.shutdown": ["with self._executors_lock, self._jobstores_lock:"],
        },
    ),
    Hook(
        "BaseScheduler._jobstores_lock",
        "each verb looks at the state under it, so that none sees ours between open and looping",
        used={
            "BaseScheduler.add_job": ["with self._jobstores_lock:", "if self.state == STATE_STOPPED:"],
            "BaseScheduler.get_jobs": ["with self._jobstores_lock:", "if self.state == STATE_STOPPED:"],
            "BaseScheduler.remove_job": ["with self._jobstores_lock:", "if self.state == STATE_STOPPED:"],
            "BaseScheduler.modify_job": ["with self._jobstores_lock:", "self._lookup_job(job_id, jobstore)"],
        },
    ),
    Hook("BaseScheduler._listeners_lock", "a forked child takes a new one, with the other two"),
    Hook(
        "BaseScheduler._create_lock",
        "makes each of those three",
        "(self)",
        used={
            "BaseScheduler._create_lock": ["return RLock()"],
            "BaseScheduler.__init__": [
                "self._executors_lock = self._create_lock()",
                "self._jobstores_lock = self._create_lock()",
                "self._listeners_lock = self._create_lock()",
            ],
        },
    ),
    # -- adding jobs ---------------------------------------------------------------------------------
    Hook(
        "BaseScheduler._real_add_job",
        "each job comes through it once; ours fills in what is open by the store's clock, and replaces at one stroke",
        "(self, job, jobstore_alias, replace_existing)",
        used={
            "BaseScheduler.add_job": [
                "if value is not undefined",
                "if self.state == STATE_STOPPED:",
                "self._real_add_job(job, jobstore, replace_existing)",
            ],
            "BaseScheduler._real_add_job": [
                "for key, value in self._job_defaults.items():",
                "if not hasattr(job, 'next_run_time'):",
                "job._modify(**replacements)",
                "store = self._lookup_jobstore(jobstore_alias)",
                "store.add_job(job)",
                "store.update_job(job)",
                "job._jobstore_alias = jobstore_alias",
                "JobEvent(EVENT_JOB_ADDED, job.id, jobstore_alias)",
                "if self.state == STATE_RUNNING:",
                "self.wakeup()",
            ],
        },
    ),
    Hook(
        "BaseScheduler._lookup_jobstore",
        "gives our job store by its alias",
        "(self, alias)",
        used={"BaseScheduler._lookup_jobstore": ["return self._jobstores[alias]"]},
    ),
    Hook(
        "BaseScheduler._lookup_job",
        "finds a job for each verb; ours looks first among what is not stored yet, without alias, as a pending one is",
        "(self, job_id, jobstore_alias)",
        used={
            "BaseScheduler._lookup_job": ["return (job, None)", "store.lookup_job(job_id)", "return (job, alias)"],
            "BaseScheduler.modify_job": [
                "with self._jobstores_lock:",
                "job, jobstore = self._lookup_job(job_id, jobstore)",
                "job._modify(**changes)",
                "if jobstore:",
                "self._lookup_jobstore(jobstore).update_job(job)",
            ],
            "BaseScheduler.get_job": ["return self._lookup_job(job_id, jobstore)[0]"],
        },
    ),
    Hook(
        "BaseScheduler._jobstores_lock",
        "reentrant; APScheduler's verbs hold it, and so does ours while it stores what was added before the start",
        used={
            "BaseScheduler.__init__": ["self._jobstores_lock = self._create_lock()"],
            "BaseScheduler._create_lock": ["return RLock()"],
            "BaseScheduler.get_jobs": ["with self._jobstores_lock:"],
        },
    ),
    Hook(
        "BaseScheduler._create_trigger",
        "makes the trigger that `reschedule_job` is given by name, in the scheduler's zone",
        "(self, trigger, trigger_args)",
        used={
            "BaseScheduler.reschedule_job": [
                "trigger = self._create_trigger(trigger, trigger_args)",
                "return self.modify_job(job_id, jobstore, trigger=trigger, next_run_time=next_run_time)",
            ],
            "BaseScheduler._create_trigger": ["trigger_args.setdefault('timezone', self.timezone)"],
        },
    ),
    Hook(
        "BaseScheduler._pending_jobs",
        "what was added before the start, as `_real_add_job` takes it; ours takes the list away and stores it later",
        used={
            "BaseScheduler.add_job": [
                "if self.state == STATE_STOPPED:",
                "self._pending_jobs.append((job, jobstore, replace_existing))",
            ],
            "BaseScheduler.start": [
                "for job, jobstore_alias, replace_existing in self._pending_jobs:",
                "self._real_add_job(job, jobstore_alias, replace_existing)",
                "del self._pending_jobs[:]",
            ],
        },
    ),
    Hook(
        "Job._modify",
        "gives a job its `next_run_time`, in the scheduler's zone",
        "(self, **changes)",
        used={"Job._modify": ["convert_to_datetime(value, self._scheduler.timezone, 'next_run_time')"]},
    ),
    Hook(
        "Job.__slots__",
        "a job is restored by setting these: from a row's columns, without looking its function up as APScheduler does",
        used={
            "Job.__setstate__": [
                "self.id =",
                "self.func_ref =",
                "self.func =",
                "self.trigger =",
                "self.executor =",
                "self.args =",
                "self.kwargs =",
                "self.name =",
                "self.misfire_grace_time =",
                "self.coalesce =",
                "self.max_instances =",
                "self.next_run_time =",
            ],
            "Job.__getstate__": ["'func': self.func_ref"],
        },
    ),
    Hook(
        "Job._scheduler",
        "set on a restored job, so that its verbs work",
        used={"Job.modify": ["self._scheduler.modify_job(self.id, self._jobstore_alias, **changes)"]},
    ),
    Hook(
        "Job._jobstore_alias",
        "set on a restored job, so that it does not count as pending; handed to `run_job` for its events",
        used={"Job.pending": ["return self._jobstore_alias is None"]},
    ),
    Hook(
        "Job.__slots__",
        "all that a job holds, by which a test's scheduler copies one that was added before its start",
        used={"Job.__init__": ["super().__init__()", "self._scheduler = scheduler", "self._jobstore_alias = None"]},
    ),
    # -- starting without a thread, in tests ---------------------------------------------------------
    Hook(
        "BaseScheduler.start",
        "called alone by a scheduler that a test turns: it starts executors and the store, and no thread",
        "(self, paused=False)",
        used={
            "BaseScheduler.start": [
                "if self.state != STATE_STOPPED:",
                "executor.start(self, alias)",
                "store.start(self, alias)",
                "self.state = STATE_PAUSED if paused else STATE_RUNNING",
                "self.wakeup()",
            ]
        },
    ),
    # -- stopping, listening -------------------------------------------------------------------------
    Hook(
        "BaseScheduler.shutdown",
        "called last, with wait=False: it only marks the end, shuts what we have drained, and tells listeners",
        "(self, wait=True)",
        used={
            "BaseScheduler.shutdown": [
                "self.state = STATE_STOPPED",
                "executor.shutdown(wait)",
                "jobstore.shutdown()",
                "self._dispatch_event(SchedulerEvent(EVENT_SCHEDULER_SHUTDOWN))",
            ]
        },
    ),
    Hook(
        "BaseScheduler._listeners",
        "whether there are any decides if stock events are made at all",
        used={
            "BaseScheduler.__init__": ["self._listeners = []"],
            "BaseScheduler.add_listener": ["self._listeners.append((callback, mask))"],
        },
    ),
    Hook(
        "BaseScheduler._dispatch_event",
        "tells the listeners of an event, in the thread that calls it, and raises nothing that they raise",
        "(self, event)",
        used={
            "BaseScheduler._dispatch_event": [
                "if event.code & mask:",
                "cb(event)",
                "except BaseException:",
                "self._logger.exception",
            ]
        },
    ),
    Hook("JobEvent", "made by us after a commit", "(code, job_id, jobstore)"),
    Hook("JobSubmissionEvent", "made by us after a commit", "(code, job_id, jobstore, scheduled_run_times)"),
    Hook(
        "JobExecutionEvent",
        "made by us after a commit",
        "(code, job_id, jobstore, scheduled_run_time, retval=None, exception=None, traceback=None)",
    ),
    # -- job stores ----------------------------------------------------------------------------------
    Hook(
        "BaseJobStore._scheduler",
        "set by `start`; jobs that are read get it, and its time zone",
        used={"BaseJobStore.start": ["self._scheduler = scheduler"]},
    ),
    Hook(
        "BaseJobStore._alias",
        "set by `start`; jobs that are read get it",
        used={"BaseJobStore.start": ["self._alias = alias"]},
    ),
    Hook(
        "BaseJobStore._logger",
        "there before `start`, too; says which rows cannot be shown",
        used={"BaseJobStore.start": ["self._logger = logging.getLogger"]},
    ),
    # -- executors -----------------------------------------------------------------------------------
    Hook(
        "BaseExecutor.start",
        "tells an executor its alias",
        "(self, scheduler, alias)",
        used={"BaseExecutor.start": ["self._scheduler = scheduler", "self._logger = logging.getLogger"]},
    ),
    Hook(
        "BaseExecutor._do_submit_job",
        "what a stock scheduler calls to have a job run on our threads",
        "(self, job, run_times)",
        used={"BaseExecutor.submit_job": ["self._do_submit_job(job, run_times)", "self._instances[job.id] += 1"]},
    ),
    Hook(
        "BaseExecutor._run_job_success",
        "called when a stock job has run: counts it as ended, and dispatches its events",
        "(self, job_id, events)",
        used={"BaseExecutor._run_job_success": ["self._scheduler._dispatch_event(event)"]},
    ),
    Hook(
        "BaseExecutor._run_job_error",
        "called when a stock job could not be run: counts it as ended, and logs why",
        "(self, job_id, exc, traceback=None)",
        used={"BaseExecutor._run_job_error": ["self._logger.error"]},
    ),
    Hook(
        "BaseExecutor._logger",
        "its name is where `run_job` logs",
        used={"run_job": ["logger = logging.getLogger(logger_name)"]},
    ),
    Hook(
        "run_job",
        "runs a stock job in our thread, and returns its events instead of raising",
        "(job, jobstore_alias, run_times, logger_name)",
        used={"run_job": ["retval = job.func(*job.args, **job.kwargs)", "return events"]},
    ),
    # -- triggers, as they are written down and read -------------------------------------------------
    Hook(
        "DateTrigger",
        "written as its `run_date`",
        "(run_date=None, timezone=None)",
        used={"DateTrigger.__init__": ["self.run_date = "]},
    ),
    Hook(
        "IntervalTrigger",
        "written as these attributes",
        "(weeks=0, days=0, hours=0, minutes=0, seconds=0, start_date=None, end_date=None, timezone=None, jitter=None)",
        used={
            "IntervalTrigger.__init__": [
                "self.interval = ",
                "self.timezone = ",
                "self.start_date = ",
                "self.end_date = ",
                "self.jitter = jitter",
            ]
        },
    ),
    Hook(
        "CronTrigger",
        "written as its fields, less those that it fills in itself; the bare fields are had by setting `fields`",
        "(year=None, month=None, day=None, week=None, day_of_week=None, hour=None, minute=None, second=None,"
        " start_date=None, end_date=None, timezone=None, jitter=None)",
        used={
            "CronTrigger.__init__": [
                "self.timezone = ",
                "self.start_date = ",
                "self.end_date = ",
                "self.jitter = jitter",
                "self.fields = []",
                "field_name in self.FIELD_NAMES",
                "DEFAULT_VALUES[field_name]",
            ]
        },
    ),
    Hook("astimezone", "turns any zone that APScheduler takes into one that has a name", "(obj)"),
    Hook("obj_to_ref", "names a function as `Job.__setstate__` finds it again", "(obj)"),
)
