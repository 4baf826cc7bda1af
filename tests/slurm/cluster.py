#!/usr/bin/env python3
"""A SLURM of one machine, in a folder of its own: munged, slurmctld and slurmd of Debian's slurm-wlm and munge.

  cluster.py run [--cpus N] [--max-array-size N] COMMAND...      starts it, runs a command with it, stops it
  cluster.py start FOLDER [--cpus N] [--max-array-size N]        then: export SLURM_CONF=FOLDER/slurm.conf
  cluster.py stop FOLDER                                         ends its jobs, then the daemons

Everything stands in the folder, whose path must be short (a socket's may have 107 characters): configuration, logs, the key,
the state. The ports are free ones, so that other clusters of the machine go on. The node has as many CPUs as it is told,
whatever the machine has. Who starts it is SLURM's user: root, or anyone, whose jobs alone it then takes.
"""
import argparse
import getpass
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

PROGRAMS = "munged", "slurmctld", "slurmd", "sbatch", "srun", "scontrol"
DAEMONS = "munged", "slurmctld", "slurmd"  # in the order of their start

CONFIGURATION = """\
ClusterName=little
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
# A job that was requeued waits until its credential has expired: 120 s where nothing is said.
AuthInfo=socket={folder}/munge.socket,cred_expire=5
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
AccountingStorageType=accounting_storage/none
SchedulerParameters=batch_sched_delay=0,sched_min_interval=100000,bf_interval=2,sched_interval=5
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
MaxArraySize={max_array_size}
MinJobAge=86400
KillWait=60
ReturnToService=2
SlurmdParameters=config_overrides
NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class ClusterError(Exception):
    pass


def missing_programs():
    """Those of SLURM that are not there; daemons stand in /usr/sbin, which not everyone's PATH has."""
    os.environ["PATH"] += ":/usr/sbin"
    return [name for name in PROGRAMS if not shutil.which(name)]


def end_by_exception():
    """SIGTERM ends what goes on as Ctrl-C does, so that a cluster is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def comes_about(condition, seconds):
    """Looks five times a second whether it holds.  -> whether it did in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.2)
    return True


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


class Cluster:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder).resolve()
        self.environment = {**os.environ, "SLURM_CONF": str(self.folder / "slurm.conf")}

    def start(self, cpus=2, max_array_size=1001):
        if any(map(self._pid, DAEMONS)):
            raise ClusterError(f"one runs in {self.folder} already; stop it first")
        self._write(cpus, max_array_size)
        commands = {
            "munged": ["munged", "--force", f"--socket={self.folder}/munge.socket", f"--key-file={self.folder}/munge.key",
                       f"--pid-file={self.folder}/munged.pid", f"--log-file={self.folder}/munged.log",
                       f"--seed-file={self.folder}/munge.seed"],
            "slurmctld": ["slurmctld", "-f", str(self.folder / "slurm.conf")],
            "slurmd": ["slurmd", "-f", str(self.folder / "slurm.conf")]}
        try:
            for name in DAEMONS:
                self._begin(name, commands[name])
            if not comes_about(self._is_ready, 60):
                raise ClusterError("the node has not come within 60 s")
        except ClusterError as e:
            told = "".join(self._end_of_log(name) for name in DAEMONS)
            self.stop()
            raise ClusterError(f"{e}\n{told}") from None
        return self

    def call(self, *words, check=True):
        """A command of SLURM, or any that calls them.  -> its stdout."""
        done = subprocess.run(words, env=self.environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if check and done.returncode:
            raise ClusterError(f"{' '.join(words)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def unended(self):
        """Ids of jobs that wait, run or are being ended; of an array, of each task."""
        return self.call("squeue", "--noheader", "--array", "--format=%i").split()

    def stop(self):
        """Ends the jobs, whose processes outlive slurmd, and the daemons, each after what it needs."""
        if self._pid("slurmctld") and self._pid("slurmd"):
            self.call("scancel", "--full", "--signal=KILL", f"--user={getpass.getuser()}", check=False)
            self.call("scancel", f"--user={getpass.getuser()}", check=False)
            comes_about(lambda: not self.call("squeue", "--noheader", check=False), 30)
        for name in reversed(DAEMONS):
            if pid := self._pid(name):
                os.kill(pid, signal.SIGTERM)
                if not comes_about(lambda: not self._pid(name), 15):
                    os.kill(pid, signal.SIGKILL)

    def _write(self, cpus, max_array_size):
        for name in "state", "spool":
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        controller, node = free_ports(2)
        (self.folder / "slurm.conf").write_text(CONFIGURATION.format(
            host=socket.gethostname().split(".")[0], controller=controller, node=node, user=getpass.getuser(),
            folder=self.folder, cpus=cpus, max_array_size=max_array_size))

    def _begin(self, name, command):
        """A daemon goes to the background by itself, once it could start."""
        try:
            with open(self.folder / f"{name}.txt", "wb") as said:
                status = subprocess.run(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                                        timeout=30).returncode
        except subprocess.TimeoutExpired:
            raise ClusterError(f"{name} has not started within 30 s") from None
        if status or not comes_about(lambda: self._pid(name), 15):
            raise ClusterError(f"{name} could not be started (exit status {status})")

    def _is_ready(self):
        return self.call("sinfo", "--noheader", "--format=%T", check=False).strip() == "idle"

    def _pid(self, name):
        """Of a daemon of this folder that lives; else None."""
        try:
            pid = int((self.folder / f"{name}.pid").read_text())
            command = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self.folder).encode() in command else None

    def _end_of_log(self, name):
        lines = []
        for file in self.folder / f"{name}.txt", self.folder / f"{name}.log":
            if file.exists():
                lines += file.read_text(errors="replace").splitlines()[-8:]
        return "".join(f"{name}: {line}\n" for line in lines)


def run_with_cluster(a):
    """-> the command's exit status."""
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        cluster = Cluster(folder)
        try:
            cluster.start(a.cpus, a.max_array_size)
            return subprocess.run(a.command, env=cluster.environment).returncode
        finally:
            cluster.stop()


def read_arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for name in "run", "start":
        verb = verbs.add_parser(name)
        verb.add_argument("--cpus", type=int, default=2)
        verb.add_argument("--max-array-size", type=int, default=1001)
        if name == "run":
            verb.add_argument("command", nargs=argparse.REMAINDER)
        else:
            verb.add_argument("folder")
    verbs.add_parser("stop").add_argument("folder")
    return parser.parse_args()


def main():
    a = read_arguments()
    end_by_exception()
    if missing := missing_programs():
        sys.exit(f"cluster.py: no {', '.join(missing)}: install slurm-wlm and munge")
    try:
        if a.verb == "run":
            sys.exit(run_with_cluster(a))
        if a.verb == "start":
            Cluster(a.folder).start(a.cpus, a.max_array_size)
            print(f"export SLURM_CONF={pathlib.Path(a.folder).resolve()}/slurm.conf")
        else:
            Cluster(a.folder).stop()
    except ClusterError as e:
        sys.exit(f"cluster.py: {e}")


if __name__ == "__main__":
    main()
