"""Runs the workers of each job in turn and prints their ratios: `compare.py BINARIES JOB…`."""

import os
import pathlib
import statistics
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
REPEATS = int(os.environ.get("REPEATS", 3))
PEERS = {
    "bp_mlp": ["torch", "burn", "candle"],
    "default": ["torch"],
    "pc": ["pcx"],
    "pc_lenet": ["pcx"],
    "bp_deep": ["torch", "burn", "candle"],
    "bp_autoencoder": ["torch"],
    "lenet": ["torch", "burn", "candle"],
    "vgg": ["torch", "burn", "candle"],
    "pc_heun": ["jpc"],
    "bcd": ["torch"],
    "memory": ["torch"],
}


class Worker:
    def __init__(self, binaries, name, job):
        python = HERE / f"{name}_peer.py"
        program = [sys.executable, python] if python.exists() else [binaries / name]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen([*program, job], text=True, **pipes)
        self.answer()
        self.begin_mb = self.resident("VmRSS")
        self.seconds = []

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"{self.process.args} ended early")
        return line

    def ask(self, command):
        print(command, file=self.process.stdin, flush=True)
        return float(self.answer())

    def epoch(self):
        self.seconds.append(self.ask("epoch"))

    def resident(self, key):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(key))

    def end(self):
        self.time = statistics.median(self.seconds[1:])
        self.peak_mb = self.resident("VmHWM")
        self.score = self.ask("score")
        self.process.stdin.close()
        self.process.wait()


def run(binaries, job, chosen):
    names = ["ours", *(peer for peer in PEERS[job] if chosen in ("", peer))]
    workers = [Worker(binaries, name, job) for name in names]
    for _ in range(1 + REPEATS):
        for worker in workers:
            worker.epoch()
    for worker in workers:
        worker.end()
    ours, *peers = workers
    for name, peer in zip(names[1:], peers):
        ratios = f"ours={ours.time:.3f} peer={peer.time:.3f} ratio={ours.time / peer.time:.2f}"
        memory = f"ours_mb={ours.peak_mb:.0f} peer_mb={peer.peak_mb:.0f}"
        if job == "memory":
            ratios = f"ours={ours.peak_mb:.0f} peer={peer.peak_mb:.0f} ratio={ours.peak_mb / peer.peak_mb:.2f}"
            memory = f"ours_loaded_mb={ours.begin_mb:.0f} peer_loaded_mb={peer.begin_mb:.0f}"
        scores = f"ours_score={ours.score:.4f} peer_score={peer.score:.4f}"
        print(f"job={job} {ratios} peer_name={name} {scores} {memory}", flush=True)


def main(binaries, *jobs):
    for job in jobs or PEERS:
        name, _, peer = job.partition("/")
        if name not in PEERS or peer not in ("", *PEERS[name]):
            sys.exit(f"no such job: {job}; there are {', '.join(PEERS)}, each with /PEER or without")
        run(pathlib.Path(binaries), name, peer)


main(*sys.argv[1:])
