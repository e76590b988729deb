"""Measure engines side by side on a machine with a GPU, without network and without this package's own libraries.

    python benchmarks/gpu/run.py PLAN.json --folder FOLDER -o OUT [--apr APR] [--seconds 1500]

PLAN.json holds `{"runs": [...]}`; docs/gpu.md says what a run may hold and how to make the prompts. Paths in it are
relative to FOLDER. Runs of one lane go one after the other; lanes go side by side. A run whose files are not there yet
is waited for. Each leaves OUT/NAME.jsonl.gz (answers, for `--apr-completions`), OUT/NAME.json (figures) and a log.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import Any

from answers import read_lines, split_by_room, write_answers
from apr_serve import AprServer, ask_all, fastest_path
from devicemem import DeviceMemory

WORKER = Path(__file__).resolve().parents[2] / "plugin" / "apr_leaderboard" / "engine" / "peers" / "worker"
_FALLBACK = ("fall back", "falling back", "fell back", "fallback")


class Runner:
    """Does one run after the other; what a run leaves is named after it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.deadline = time.monotonic() + args.seconds
        self.broken: list[str] = []

    def lane(self, runs: list[dict[str, Any]]) -> None:
        """The runs of one lane, in order; one that breaks is written down and does not end the others."""
        for run in runs:
            path = self.args.out / f"{run['name']}.json"
            figures: dict[str, Any] = {"run": run}
            started = time.time()
            try:
                self._wait_for(run)
                started = time.time()
                with DeviceMemory() as memory:
                    figures |= getattr(self, "do_" + run["engine"])(run)
                figures |= {"device_mib_before": memory.before, "device_mib_peak": memory.peak}
            except Exception as error:
                figures["error"] = f"{type(error).__name__}: {error}"
                figures["traceback"] = traceback.format_exc()[-1500:]
            figures["seconds"] = round(time.time() - started, 2)
            if "error" in figures or figures.get("exit_code"):
                self.broken.append(run["name"])
            path.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
            shown = {key: value for key, value in figures.items() if key not in ("run", "traceback", "command")}
            print(f"{time.strftime('%H:%M:%S')} {run['name']}: {json.dumps(shown)[:700]}", flush=True)

    def do_apr(self, run: dict[str, Any]) -> dict[str, Any]:
        """`apr serve` with raw text: the very prompts the others get."""
        prompts, left = self._prompts(run)
        log = self.args.out / f"{run['name']}.log"
        with AprServer(self.args.apr, self._path(run["model"]), log, tuple(run.get("words", ()))) as server:
            health = server.ask("GET", "/health", None, 10.0)[1]
            path, rates = fastest_path(server, prompts[0])
            print(f"  {run['name']}: loaded in {server.load_seconds:.1f} s, tokens/s by path: {rates}", flush=True)
            # The other path drops the seed: all samples of a prompt would be one.
            path = run.get("path", "/generate" if run["decode"].get("temperature", 0.0) > 0 else path)
            kept = self.args.out / f"{run['name']}.part.jsonl"
            asked = ask_all(server, path, prompts, run["decode"], self._until(run), kept)
        write_answers(
            self.args.out / f"{run['name']}.jsonl.gz", [*prompts, *left], [*asked.lines, *map(_no_room, left)]
        )
        return {
            "command": server.argv,
            "path": path,
            "probe_tokens_per_second": rates,
            "compute_mode": health.get("compute_mode"),
            "load_seconds": round(server.load_seconds, 2),
            "n_prompts": len(prompts),
            "n_no_room": len(left),
            "n_answers": len(asked.lines),
            "n_tokens": asked.n_tokens,
            "answer_seconds": round(asked.seconds, 2),
            "tokens_per_second": round(asked.n_tokens / asked.seconds, 1) if asked.seconds else None,
            "n_went_past_a_stop": asked.cut,
            "n_tokenised_otherwise": asked.tokenised_otherwise,
            "failures": asked.failures[:20],
            "fallbacks": _fallbacks(log),
        }

    def do_apr_batch(self, run: dict[str, Any]) -> dict[str, Any]:
        """`apr run --batch-jsonl`: it wraps each user turn in ChatML itself, without a system turn."""
        prompts, left = self._prompts(run)
        asked = self.args.out / f"{run['name']}.in.jsonl"
        asked.write_text(
            "".join(
                json.dumps({"task_id": str(place), "prompt": prompt["messages"][-1]["content"]}) + "\n"
                for place, prompt in enumerate(prompts)
            )
        )
        decode = run["decode"]
        argv = [self.args.apr, "run", str(self._path(run["model"])), "--batch-jsonl", str(asked)]
        argv += ["--max-tokens", str(decode["max_tokens"]), "--temperature", str(decode.get("temperature", 0.0))]
        argv += ["--top-k", str(decode.get("top_k", 0)), *run.get("words", ())]
        out, code, seconds = self._command(argv, run)
        lines, n_tokens, on_gpu, milliseconds = [], 0, 0, 0.0
        for line in filter(None, map(_document, _lines(out))):
            if not str(line.get("task_id", "")).isdigit() or "text" not in line:
                continue
            prompt = prompts[int(line["task_id"])]
            n_tokens += int(line.get("tokens_generated", 0))
            on_gpu += bool(line.get("used_gpu"))
            milliseconds += float(line.get("inference_ms", 0.0))
            lines.append(
                {
                    "task_id": prompt["task_id"],
                    "sample": prompt.get("sample", 0),
                    "answer": line["text"],
                    "finish": "length" if line.get("tokens_generated", 0) >= decode["max_tokens"] else "stop",
                    "n_tokens": line.get("tokens_generated"),
                }
            )
        write_answers(self.args.out / f"{run['name']}.jsonl.gz", [*prompts, *left], [*lines, *map(_no_room, left)])
        return {
            "command": argv,
            "exit_code": code,
            "n_prompts": len(prompts),
            "n_no_room": len(left),
            "n_answers": len(lines),
            "n_used_gpu": on_gpu,
            "n_tokens": n_tokens,
            "answer_seconds": round(milliseconds / 1000, 2),
            "load_seconds": round(seconds - milliseconds / 1000, 2),
            "tokens_per_second": round(1000 * n_tokens / milliseconds, 1) if milliseconds else None,
            "fallbacks": _fallbacks(self.args.out / f"{run['name']}.log"),
        }

    def do_peer(self, run: dict[str, Any]) -> dict[str, Any]:
        """The engines' own worker: transformers or llama.cpp."""
        prompts, left = self._prompts(run)
        given = self.args.out / f"{run['name']}.in.jsonl"
        given.write_text("".join(json.dumps(prompt) + "\n" for prompt in prompts))
        argv = [run.get("python", sys.executable), str(WORKER), run["peer"], "--model", str(self._path(run["model"]))]
        argv += ["--prompts", str(given), "--tokens", *run.get("words", ())]
        for name, value in run["decode"].items():
            argv += ["--" + name.replace("_", "-"), str(value)]
        out, code, _ = self._command(argv, run)
        documents = list(filter(None, map(_document, _lines(out))))
        lines = [_answer(one["completion"]) for one in documents if "completion" in one]
        figures = next((one["record"]["figures"] for one in documents if "record" in one), {})
        write_answers(self.args.out / f"{run['name']}.jsonl.gz", [*prompts, *left], [*lines, *map(_no_room, left)])
        return {"command": argv, "exit_code": code, "n_no_room": len(left), "n_answers": len(lines), **figures}

    def do_command(self, run: dict[str, Any]) -> dict[str, Any]:
        """Any command; `{apr}`, `{folder}` and `{out}` in it are filled in."""
        names = {"apr": self.args.apr, "folder": str(self.args.folder), "out": str(self.args.out)}
        argv = [word.format(**names) for word in run["argv"]]
        out, code, _ = self._command(argv, run)
        return {"command": argv, "exit_code": code, "stdout_end": out[-3000:]}

    def _command(self, argv: list[str], run: dict[str, Any]) -> tuple[str, int, float]:
        started = time.monotonic()
        # Into a file, not a pipe: what was answered stays where the machine goes away before the end.
        said = self.args.out / f"{run['name']}.stdout"
        with said.open("wb") as stdout, (self.args.out / f"{run['name']}.log").open("wb") as log:
            program = subprocess.Popen(argv, stdout=stdout, stderr=log, cwd=self.args.folder)
            timer = threading.Timer(max(1.0, self._until(run) - started), program.kill)
            timer.start()
            program.wait()
            timer.cancel()
        return said.read_text(encoding="utf-8", errors="replace"), program.returncode, time.monotonic() - started

    def _prompts(self, run: dict[str, Any]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        prompts = list(read_lines(self._path(run["prompts"])))[: run.get("limit")]
        return split_by_room(prompts, run.get("positions", 2048), run["decode"]["max_tokens"])

    def _path(self, name: str) -> Path:
        return Path(self.args.folder) / name

    def _until(self, run: dict[str, Any]) -> float:
        return min(self.deadline, time.monotonic() + run.get("seconds", self.args.seconds))

    def _wait_for(self, run: dict[str, Any]) -> None:
        needed = [self._path(run[key]) for key in ("model", "prompts", "after") if key in run]
        while absent := [path for path in needed if not path.exists()]:
            if time.monotonic() > self.deadline:
                raise RuntimeError(f"not there in time: {', '.join(map(str, absent))}")
            time.sleep(0.5)


def _answer(completion: dict[str, Any]) -> dict[str, Any]:
    kept = ("task_id", "sample", "finish", "n_tokens", "n_prompt_tokens", "tokens")
    return {"answer": completion["text"], **{key: completion[key] for key in kept if key in completion}}


def _no_room(prompt: dict[str, Any]) -> dict[str, Any]:
    line = {"task_id": prompt["task_id"], "sample": prompt.get("sample", 0), "answer": ""}
    return {**line, "finish": "context", "n_prompt_tokens": len(prompt["ids"])}


def _lines(text: str) -> list[str]:
    """Not splitlines: what a model wrote may hold the other line ends that it splits at."""
    return text.split("\n")


def _document(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _fallbacks(log: Path) -> list[str]:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    found = [line.strip()[:300] for line in lines if any(word in line.lower() for word in _FALLBACK)]
    return [*dict.fromkeys(found)][:10]


def main() -> int:
    """Do every run of the plan; exit code 1 if one of them broke, or its program did not end with 0."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("plan", type=Path)
    parser.add_argument("--folder", type=Path, default=Path.cwd(), help="what the plan's paths are relative to")
    parser.add_argument("-o", "--out", type=Path, required=True)
    parser.add_argument("--apr", default="apr", help="the apr program, built with CUDA")
    parser.add_argument("--seconds", type=float, default=1500.0, help="when to give up what is not done")
    args = parser.parse_args()
    args.folder, args.out = args.folder.resolve(), args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    lanes: dict[str, list[dict[str, Any]]] = {}
    for run in json.loads(args.plan.read_text(encoding="utf-8"))["runs"]:
        lanes.setdefault(run.get("lane", "gpu"), []).append(run)
    runner = Runner(args)
    threads = [threading.Thread(target=runner.lane, args=(runs,)) for runs in lanes.values()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return int(bool(runner.broken))


if __name__ == "__main__":
    sys.exit(main())
