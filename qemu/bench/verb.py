"""The verb `bench`: measures, shows, writes and compares."""

from __future__ import annotations

import platform
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from .. import setup
from ..base import ARCHES, EXIT_USAGE, Failure, is_arch_list, say, warn
from . import baseline, budgets, catalogue, compare, following, hardware, results, running, stretches, table
from .running import Setting

# What would make a baseline something else than one.
NOT_WITH_BLESS = ("filter", "compare", "tags", "model", "peer", "json", "report")
# What --profile and --stretches have nothing for.
WRITES_OR_COMPARES = ("json", "compare", "bless", "model", "peer", "report")
# Machines that are emulated at the same time.
AT_ONCE = 2
# What a machine calls itself, in our words.
HOSTS = {"x86_64": "x86_64", "AMD64": "x86_64", "aarch64": "aarch64", "arm64": "aarch64"}


# What says how to boot, or is for emulators only.
NOT_WITH_LOG = ("smp", "tags", "model", "peer", "bless", "profile", "stretches")


def bench_verb(options) -> int:
    """Runs the benchmarks of each architecture and says whether budgets and comparison hold."""
    _check(options)
    wanted = _wanted(options)
    accel = "none" if options.log else options.accel
    settings = [Setting(arch, smp, options.tags, accel, options.model) for smp in _cpus(options) for arch in _arches(options)]
    old = _documents_to_compare_with(options, settings)
    if options.report:
        from .. import html_report
        html_report.refuse(Path(options.report))
    if options.log:
        documents = [hardware.document(Path(options.log), options.arch, options.filter, options.raw)]
    else:
        setup.need(("build", "qemu"))
        if options.profile:
            return following.profile(options)
        if options.stretches:
            return stretches.show(options)
        documents = measure_all(settings, options.filter, wanted, options.raw)
    if options.peer:
        _add_peers(documents)
    complaints = [complaint for setting, each in zip(settings, documents) for complaint in _report(each, options, wanted, old.get(setting))]
    _write(options, documents)
    for text in complaints:
        warn(text)
    return 1 if complaints else 0


def _check(options) -> None:
    """Refuses options that do not go together."""
    if options.json and not options.arch:
        raise Failure("--json needs --arch: a file holds the results of one architecture", EXIT_USAGE)
    if options.log and (not options.arch or any(getattr(options, name) for name in NOT_WITH_LOG) or options.accel != "tcg"
                        or options.compare == baseline.WORD):
        raise Failure("--from reads a log: it takes --arch, and of the other options a filter, --json, --raw, --compare FILE, "
                      "--threshold and --report", EXIT_USAGE)
    if options.raw and not options.json:
        raise Failure("--raw says what --json writes; there is no --json", EXIT_USAGE)
    if options.bless and (any(getattr(options, name) for name in NOT_WITH_BLESS) or options.accel != "tcg"):
        raise Failure("--bless writes whole baselines: it takes --arch and --smp, and neither a filter nor another option", EXIT_USAGE)
    if options.threshold is not None and not options.compare:
        raise Failure("--threshold says how much --compare lets pass; there is no --compare", EXIT_USAGE)
    if options.peer and (options.accel != "tcg" or options.smp not in (None, 1)):
        raise Failure("--peer boots its machine with one emulated CPU; it takes neither --smp nor --accel", EXIT_USAGE)
    if options.model and options.model not in running.profiles():
        raise Failure(f"there is no model of a TLB called {options.model!r}; there are: {', '.join(running.profiles())}", EXIT_USAGE)
    if options.model and options.accel != "tcg":
        raise Failure("--model looks on in the emulator; it does not go with --accel kvm", EXIT_USAGE)
    shows_only = [name for name in ("profile", "stretches") if getattr(options, name)]
    if shows_only and (len(shows_only) > 1 or any(getattr(options, name) for name in WRITES_OR_COMPARES)):
        raise Failure(f"--{shows_only[0]} only shows where instructions go; it takes a filter, --arch and --tags", EXIT_USAGE)


def _wanted(options) -> list:
    """The results that are asked for; those of a baseline where nothing else is said."""
    of_baseline = options.bless or options.compare == baseline.WORD
    return baseline.selection() if of_baseline and not options.filter else catalogue.resolve(options.filter)


def _arches(options) -> tuple:
    """The architectures: the one that is asked for, that of the document to compare with, or all that there can be."""
    if options.arch:
        return (options.arch,)
    if options.compare and options.compare != baseline.WORD:
        arch = results.read(Path(options.compare))["arch"]
        if arch not in ARCHES:
            raise Failure(f"{options.compare} is of an architecture {arch!r}, which there is not", EXIT_USAGE)
        return (arch,)
    if options.accel == "kvm":
        host = HOSTS.get(platform.machine())
        if host is None:
            raise Failure(f"--accel kvm: this machine is a {platform.machine()}, for which there is no Tessera", EXIT_USAGE)
        return (host,)
    return is_arch_list(None)


def _cpus(options) -> tuple:
    """The numbers of CPUs: the one that is asked for, all of which there are baselines, or one CPU."""
    of_baselines = options.bless or options.compare == baseline.WORD
    return (options.smp,) if options.smp else baseline.CPUS if of_baselines else (1,)


def _documents_to_compare_with(options, settings: list) -> dict:
    """The old document of each setting; refused at once if it is of another kind."""
    found = {}
    for setting in settings if options.compare else ():
        is_baseline = options.compare == baseline.WORD
        old = baseline.load(setting.arch, setting.smp) if is_baseline else results.read(Path(options.compare))
        what = baseline.path_of(setting.arch, setting.smp).name if is_baseline else options.compare
        compare.check_comparable(old, setting.arch, setting.options(options.filter), setting.unit(), what)
        found[setting] = old
    return found


def measure_all(settings: list, words: list, wanted: list, raw: bool = False) -> list:
    """Builds for each setting, then measures all of them at the same time."""
    for setting in settings:
        # What cannot be is refused before anything is built.
        setting.machine()
    for arch in dict.fromkeys(setting.arch for setting in settings):
        running.prepare(arch)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda setting: running.document(setting, words, wanted, raw), settings))


def _add_peers(documents: list) -> None:
    """Measures another system's kernel in the same emulator and puts it beside."""
    from .. import peer
    for each in documents:
        medians = {result["name"]: result["median"] for result in each["results"]}
        each["peers"] = [{**entry, "ratio": _ratio(medians.get(entry["name"]), entry["median"])} for entry in peer.measure(each["arch"])]


def _ratio(own: int | None, peers: int) -> float | None:
    return round(own / peers, 3) if own is not None and peers else None


def _report(document: dict, options, wanted: list, old: dict | None) -> list:
    """Prints a document and what it is compared with; returns a sentence for each thing that does not hold."""
    arch, unit, found = document["arch"], document["unit"], document["results"]
    smp, is_counted = document["options"]["smp"], unit == "instructions"
    say(f"\n{arch}, {document['machine']['emulator']}, {document['machine']['accelerator']}, CPUs: {smp}")
    table.show(found, unit, budgets.budgets(smp) if is_counted else {})
    table.show_model(found)
    table.show_peers(document.get("peers", []), found, unit)
    complaints = budgets.over(found, smp) if is_counted else []
    if old:
        threshold = compare.THRESHOLD_PER_CENT if options.threshold is None else options.threshold
        differs = compare.changes(old["results"], found, wanted, catalogue.resolve([]))
        say(f"\n{arch}, CPUs: {smp}, compared with {options.compare} ({old['commit']}); at most {threshold:g} % more:")
        for text in compare.lines(differs, threshold):
            say(text)
        complaints += compare.complaints(differs, threshold)
    where = arch if smp == 1 else f"{arch} with {smp} CPUs"
    return [f"{where}: {text}" for text in complaints]


def _write(options, documents: list) -> None:
    """Writes the files that are asked for."""
    if options.json:
        _write_one(Path(options.json), documents[0])
    for each in documents if options.bless else ():
        baseline.FOLDER.mkdir(exist_ok=True)
        _write_one(baseline.path_of(each["arch"], each["options"]["smp"]), each)
    if options.report:
        from .. import html_report
        told = {name: {"what": each.what, "leaves_out": each.leaves_out, "axis": each.axis}
                for name, each in catalogue.catalogue().items()}
        say(f"wrote {html_report.write(Path(options.report), documents, told)}")


def _write_one(path: Path, document: dict) -> None:
    results.write(path, document)
    say(f"wrote {path}")
