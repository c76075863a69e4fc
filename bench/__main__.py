"""`python -m bench [BENCH …] [--patients N]`: print each figure beside its target.

Exit code 0 also when a figure is out of reach: a benchmark reports, it does not
judge. Machines are noisy; run it on a quiet one and compare within one run.
"""

import argparse
import os
import platform
import subprocess
import sys
from datetime import datetime, timezone

from bench import (
    admin,
    backup,
    book,
    installation,
    large_clinic,
    mixed,
    peer,
    race,
    report,
    retries,
    second_factor,
    sign_in,
    slots,
)

BENCHES = (
    *("start", "import", "search", "pages", "slots", "admin", "backup", "sign-in", "refresh", "totp"),
    *("retries", "race", "book", "v1", "load"),
)
OWN_PROCESS = (
    "race",
    "book",
    "v1",
    "load",
)  # settings are read once a process, and each of these fills a database of its own


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("benches", nargs="*", metavar="|".join(BENCHES), help="all of them when none is named")
    parser.add_argument("--visits", type=int, default=2_000_000, help="size of the large book")
    parser.add_argument("--patients", type=int, default=200_000, help="size of the large clinic")
    parser.add_argument("--seconds", type=int, default=120, help="how long the mixed load takes")
    options = parser.parse_args()
    if unknown := set(options.benches) - set(BENCHES):
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    wanted = options.benches or list(BENCHES)
    if len(wanted) > 1:
        for name in [name for name in OWN_PROCESS if name in wanted]:
            size = ["--patients", str(options.patients), "--visits", str(options.visits)]
            size += ["--seconds", str(options.seconds)]
            subprocess.run([sys.executable, "-m", "bench", name, *size], check=True)
            wanted.remove(name)
    print(
        f"{datetime.now(timezone.utc):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, Python {platform.python_version()}"
    )
    if "start" in wanted:
        report.show("Starting from nothing, and again", installation.measure_start())
    if "import" in wanted:
        report.show("Importing ../shared/data/patients", installation.measure_import())
    if "totp" in wanted:
        report.show("One code, a hundred at once", second_factor.measure_replays())
    if "race" in wanted:
        report.show("Everybody wants the same time", race.measure_races())
    if "book" in wanted:
        with large_clinic.open_clinic(options.patients) as clinic:
            title = f"A book of {options.visits:,} visits of {options.patients:,} patients"
            report.show(title, book.measure_book(clinic, options.visits))
    if {"search", "pages", "slots", "admin", "backup", "sign-in", "refresh"} & set(wanted):
        with large_clinic.open_clinic(options.patients) as clinic:
            if "search" in wanted:
                title = f"Searching {options.patients:,} patients of one clinic, in the database"
                report.show(title, large_clinic.measure_search(clinic))
            if "pages" in wanted:
                report.show("Pages, 8 connections", large_clinic.measure_pages(clinic))
            if "slots" in wanted:
                report.show("Free times, in the process", slots.measure_slots(clinic))
            if "admin" in wanted:
                title = f"Lists of the admin with {options.patients:,} rows each"
                report.show(title, admin.measure_lists(clinic, options.patients))
            if "backup" in wanted:
                report.show("There and back: one sealed file, counted clinic by clinic", backup.measure_backup(clinic))
            if "sign-in" in wanted:
                report.show("A flood of 50 sign-ins a second", sign_in.measure_flood(clinic))
            if "refresh" in wanted:
                report.show("Tabs that renew at once", sign_in.measure_refresh(clinic))
    if "retries" in wanted:
        with large_clinic.open_clinic(1_000) as clinic:
            report.show("The same order, by 64 at once", retries.measure_retries(clinic))
    if "v1" in wanted:
        with large_clinic.open_clinic(min(options.patients, 60_000)) as clinic:
            print("\n/v1 against the peer of ../shared/bench")
            peer.run_race(clinic)
    if "load" in wanted:
        mixed.run_load(min(options.patients, 60_000), min(options.visits, mixed.VISITS), options.seconds)


if __name__ == "__main__":
    sys.exit(main())
