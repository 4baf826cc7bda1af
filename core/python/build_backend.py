"""Builds a wheel of the whole: module, host, program, plugins (PEP 517). Called by pip, see pyproject.toml."""
import base64
import hashlib
import os
import pathlib
import re
import subprocess
import sys
import sysconfig
import tempfile
import zipfile

NAME = "marginalia"


def get_requires_for_build_wheel(config_settings=None):
    return []


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    root = pathlib.Path.cwd()
    build = pathlib.Path(os.environ.get("MARGINALIA_BUILD", root / "build" / "wheel"))
    version = re.search(r"project\(\w+\s+VERSION\s+([\d.]+)", (root / "CMakeLists.txt").read_text()).group(1)
    tag = f"cp{sys.version_info.major}{sys.version_info.minor}"
    tag = f"{tag}-{tag}-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}"
    if "MARGINALIA_BUILD" not in os.environ:
        _call("cmake", "--preset", "release", "-B", str(build), "-DMARGINALIA_BUILD_TESTS=OFF")
    _call("cmake", "--build", str(build))
    with tempfile.TemporaryDirectory() as stage:
        for component in ("runtime", "python"):
            _call("cmake", "--install", str(build), "--prefix", stage, "--component", component)
        return _pack(pathlib.Path(stage), pathlib.Path(wheel_directory), version, tag)


def _call(*words):
    print("+", *words, flush=True)
    subprocess.run(words, check=True)


def _pack(stage, into, version, tag):
    module = stage / "lib" / "python3" / "dist-packages" / NAME
    library = module / f"_host{sysconfig.get_config_var('EXT_SUFFIX')}"
    if not library.exists():
        there = ", ".join(file.name for file in module.glob("_host*")) or "none: python3-dev, python3-numpy, pybind11-dev are needed"
        raise SystemExit(f"the module that was built is not for this Python ({library.name}); there is {there}")
    name = f"{NAME}-{version}-{tag}.whl"
    info, data, sums = f"{NAME}-{version}.dist-info", f"{NAME}-{version}.data/data", []
    with zipfile.ZipFile(into / name, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as wheel:
        def add(at, content, mode=0o644):
            entry = zipfile.ZipInfo(at)
            entry.external_attr = (0o100000 | mode) << 16
            wheel.writestr(entry, content, zipfile.ZIP_DEFLATED)
            digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
            sums.append(f"{at},sha256={digest},{len(content)}")
        for file in sorted(stage.rglob("*")):
            if file.is_file() and not _is_a_further_name(file):
                in_module = module in file.parents
                at = f"{NAME}/{file.relative_to(module)}" if in_module else f"{data}/{file.relative_to(stage)}"
                add(at, file.read_bytes(), file.stat().st_mode & 0o777)
        # 1.x of numpy, whose arrays pybind11 2.10 knows.
        add(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {NAME}\nVersion: {version}\nRequires-Dist: numpy<2\n"
            "Summary: generative models of discrete data that answer any marginal question\n".encode())
        add(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: {NAME}\nRoot-Is-Purelib: false\nTag: {tag}\n".encode())
        wheel.writestr(f"{info}/RECORD", "\n".join([*sums, f"{info}/RECORD,,"]) + "\n")
    return name


def _is_a_further_name(file):
    """libNAME.so.0.1.0 beside the link libNAME.so.0, by which it is loaded: a wheel holds no links."""
    return re.search(r"\.so\.\d+\.\d+", file.name) is not None and not file.is_symlink()
