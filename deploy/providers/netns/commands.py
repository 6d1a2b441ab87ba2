"""The five commands of the contract. Each may be repeated, and finds what an interrupted one left."""

import contextlib
import os
import pathlib
import shutil

import agent_care
import checks
import contract
import groups
import machine
import names_folder
import network
import record as records
import request as requests
import settings
from errors import ProviderError, RequestError
from hosts import Fleet
from machine import RunLock, Shell
from progress import event

_OURS = (records.NAME, records.NAME + ".new", "network.made", "disk", "keys", agent_care.LOG)


def check(document):
    request = requests.parse(document) if document else None
    hosts, state = (len(request.hosts), request.state) if request else (0, "")
    missing = checks.missing(hosts, state, request.init if request else "runit")
    return {"ok": not missing, "missing": missing, **checks.facts(state)}


def price(document):
    request = requests.parse(document)
    hours = round(len(request.hosts) * request.deadline_s / 3600, 3)
    item = {"item": "hosts on this machine", "quantity": hours, "unit": "hour", "each": 0, "cost": 0}
    return {"currency": "USD", "as_of": "", "region": "", "items": [item], "total": 0}


# --- up -----------------------------------------------------------------------------------------


def up(document):
    request = requests.parse(document)
    _refuse_foreign_folder(request)
    if missing := checks.missing(len(request.hosts), init=request.init):
        first = missing[0]
        mend = f"; apt-get install {first['package']}" if first["package"] else ""
        raise ProviderError(f"{first['what']}: {first['why']}{mend}", command="check")
    wanted = settings.load()
    with RunLock(request.run, request.state) as lock:
        if (record := records.read(request.state)) is not None:
            contract.refuse_other_hosts(requests.parse(record), request)
        if agent_care.agent_is_gone():
            raise ProviderError("the run was taken down meanwhile", command="up")
        lock.claim()
        pathlib.Path(request.state).mkdir(parents=True, exist_ok=True)
        records.write(request.state, document)
        names_folder.claim()
        fleet = Fleet(Shell(lock.fd), request)
        answer = _bring_up(fleet, wanted)
        agent_care.ensure(request.run, request.state)
    return answer


def _bring_up(fleet, wanted):
    request = fleet.request
    # What lies on a host's disk is for its users too, whatever the caller, such as the agent, has it be.
    os.umask(0o022)
    _make_place_for_disks(request)
    fleet.make_key()
    running = fleet.running()
    if not _network_made(request):
        (fleet.state / "network.made").unlink(missing_ok=True)
        # Hosts without their router are cut off for good: they begin anew with the network.
        machine.end_processes(network.prefix_of(request.run))
        running = {}
        event("network", "", f"{request.vpc} with {len(request.subnets)} subnets")
        network.build_base(fleet.shell, request)
        (fleet.state / "network.made").touch()
    new = [h for h in request.hosts if h.name not in running]
    kept = []
    if new:
        event("hosts", "", f"starting {len(new)} of {len(request.hosts)} hosts")
        _end_rests(fleet, new)
        kept = fleet.prepare_disks(new)
        network.connect(fleet.shell, request, new)
    processes = {h.name: fleet.start(h, wanted) for h in new}
    fleet.wait_ready(processes)
    for process in processes.values():
        process.returncode = 0  # it lives on without us: no warning about a child left running
    warnings = fleet.setting_warnings(wanted)
    for text in warnings:
        event("warning", "", text)
    return {
        **fleet.describe(),
        "started": [h.name for h in new],
        "disks_kept": kept,
        "warnings": warnings,
    }


def _end_rests(fleet, hosts):
    """What a host that has ended may have left in its network namespace, such as a session entered
    from the machine."""
    for host in hosts:
        name = fleet.namespace(host)
        if name in machine.namespace_names(name):
            machine.end_processes(name)
        groups.remove(name)


def _network_made(request):
    made = pathlib.Path(request.state) / "network.made"
    names = (network.ROUTER, network.OUTSIDE)
    there = machine.namespace_names(network.prefix_of(request.run))
    return made.exists() and all(network.namespace(request.run, n) in there for n in names)


def _make_place_for_disks(request):
    """On the machine's disk where that carries overlays, else in memory."""
    place = pathlib.Path(request.state) / "disk"
    place.mkdir(exist_ok=True)
    if machine.mounts_from(_memory_name(request.run)) or checks.overlay_works(place):
        return
    event("warning", "", f"{place} cannot carry overlays: the hosts' disks are in memory")
    shell = Shell(os.open(os.devnull, os.O_RDONLY))
    options = "mode=700,size=50%"
    shell.run(["mount", "-t", "tmpfs", "-o", options, _memory_name(request.run), str(place)])
    if not checks.overlay_works(place):
        raise ProviderError("this kernel offers no overlay file system", command="mount -t overlay")


def _memory_name(run):
    return f"baiwan-netns.{run}"


# --- describe -----------------------------------------------------------------------------------


def describe(document):
    run, state = requests.parse_run(document)
    record = records.read(state)
    if record is None and "hosts" in document:
        record = document
    if record is None:
        return contract.describe_nothing(run)
    if record["run"] != run:
        raise RequestError(f"state: {state} belongs to the run {record['run']}")
    if not agent_care.called_by_agent():
        _mend_agent(run, state)
    return Fleet(None, requests.parse(record)).describe()


def _mend_agent(run, state):
    """Starts the agent again if it has died. Where another command is at work on the run, that one
    looks after it, or takes it down."""
    if all(agent_care.answers(run, pid) for pid in agent_care.outside_hosts(run, state)):
        return
    try:
        with RunLock(run, state, wait_s=0):
            if records.request_of(run, state) is not None:  # not taken down meanwhile
                agent_care.ensure(run, state)
    except ProviderError as error:
        event("warning", "", str(error))


# --- down ---------------------------------------------------------------------------------------


def down(document):
    run, state = requests.parse_run(document)
    record = records.read(state)
    if record is not None and record["run"] != run:
        raise RequestError(f"state: {state} belongs to the run {record['run']}")
    prefix = network.prefix_of(run)
    with RunLock(run, state) as lock:
        names = machine.namespace_names(prefix)
        machine.end_processes(prefix)
        # Once the names are gone nothing new can enter; what was about to is found by its words.
        network.remove_namespaces(Shell(lock.fd), machine.namespace_names(prefix))
        machine.end_processes(prefix)
        groups.remove(prefix + "*")
        event("network", "", f"{len(names)} namespaces removed")
        _unmount(run)
        left = agent_care.end(run)
        if record is not None:
            _remove_files(state)
        left += _leftovers(run, state, record is not None)
        if left:
            raise ProviderError("left over: " + "; ".join(left), command="down")
        lock.remove()
        names_folder.release()
    return {"run": run, "removed": names, "left": []}


def _unmount(run):
    shell = Shell(os.open(os.devnull, os.O_RDONLY))
    for point in machine.mounts_from(_memory_name(run)):
        shell.run(["umount", point])


def _remove_files(state):
    """Only what `up` made there. Never through a mount, whose files are not ours."""
    if mounted := [m for m in machine.mounts_under(state) if m != state]:
        raise ProviderError(f"{mounted[0]} is still mounted", command="down")
    # The record last: a killed `down` knows the folder again.
    for name in sorted(_OURS, key=lambda n: n.startswith(records.NAME)):
        path = pathlib.Path(state) / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _leftovers(run, state, ours):
    prefix = network.prefix_of(run)
    left = [f"process {p} in {n}" for p, n in machine.processes_of(prefix).items()]
    left += [f"namespace {n}" for n in machine.namespace_names(prefix)]
    left += [f"control group {f}" for f in groups.folders(prefix + "*")]
    left += [f"mount {m}" for m in machine.mounts_from(_memory_name(run))]
    if ours:
        files = [pathlib.Path(state) / name for name in _OURS]
        left += [f"file {f}" for f in files if os.path.lexists(f)]
    return left


# --- what is refused ----------------------------------------------------------------------------


def _refuse_foreign_folder(request):
    record = records.read(request.state)
    if record is not None:
        if record["run"] != request.run:
            raise RequestError(f"state: {request.state} belongs to the run {record['run']}")
        return
    with contextlib.suppress(FileNotFoundError):
        files = [n for n in os.listdir(request.state) if n != records.NAME + ".new"]
        if files:
            raise RequestError(f"state: {request.state} has files that are not of this run: {files[0]}")
