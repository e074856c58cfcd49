# `make help` lists the targets. Everything they need is made in .venv from a hashed lock; PYTHON= chooses the interpreter.
.DEFAULT_GOAL := help
SHELL := /bin/sh
BIN := .venv/bin
PACKAGES := libs services yousync tests bench samples
SERVICES := gateway auth catalog audio notifier analysis
COMPILE := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	--no-annotate --no-header --no-emit-index-url pyproject.toml

.PHONY: help demo up fleet fleet-down venv venv-dev lock lint scan advisories contracts test schedules chaos bench-api bench-bus bench-notice bench-jobs bench-revocation bench-token bench-upload bench-mixing bench-limits clean

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# --- The platform: PORT=8000 STATE_DIR=.yousync BROKER_URL= DATABASE_URL= STORAGE_URL= -----------------------------------

demo: venv ## Score one recording from upload to result: make demo [TAKE=my.wav] [SCRIPT=3]
	@$(BIN)/yousync demo

up: venv ## Run the whole platform in this terminal until Ctrl-C
	@$(BIN)/yousync up

fleet: venv-dev ## Start what does not run yet of: RabbitMQ, PostgreSQL, S3, and each service in a process of its own
	@$(BIN)/yousync fleet up

fleet-down: venv-dev ## Stop the fleet
	@$(BIN)/yousync fleet down

# --- Development ------------------------------------------------------------------------------------------------------

venv: ## Make .venv with what the platform needs to run
	@sh deploy/bootstrap.sh local

venv-dev: ## Make .venv with what tests and lint need as well
	@sh deploy/bootstrap.sh dev

lint: venv-dev ## Check style, types and import rules
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --strict $(PACKAGES)
	$(BIN)/lint-imports
	$(BIN)/python -m yousync.contracts check

# What only looks like a secret is listed in .secrets.baseline: `detect-secrets scan --no-verify --baseline .secrets.baseline`.
scan: venv-dev ## Look for weaknesses in the code (beyond ruff's S, which has B104 and B108) and for secrets in the tree
	$(BIN)/bandit --quiet --severity-level medium --skip B104,B108 --recursive libs services yousync
	git ls-files -z -- ':!requirements' | xargs -0 sh .ci/secrets

advisories: venv-dev ## Look for known vulnerabilities in what is locked; needs the internet [ARGS='--vulnerability-service osv']
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off $(ARGS) -r requirements/dev.txt

contracts: venv-dev ## Write docs/asyncapi.yaml and docs/schemas/ from the code; refuses what breaks a published event
	@$(BIN)/python -m yousync.contracts

test: venv-dev ## Run all tests, two at a time, or some: make test [TESTS=tests/services/audio] [JOBS=2]
	$(BIN)/python -m pytest -n $(or $(JOBS),$(if $(TESTS),0,2)) --dist loadgroup $(TESTS)

chaos: venv-dev ## Kill everything under load, count what is lost: make chaos [SEEDS=10 | SEEDS=7,21] [TAKES=300] [SHORT=1]
	@$(BIN)/python -m tests.chaos --seeds $(or $(SEEDS),1) --takes $(or $(TAKES),300) $(if $(SHORT),--short)

schedules: venv-dev ## The real handlers under seeded faults: make schedules [SCHEDULES=5000] [SEED=17 takes that way again]
	@$(BIN)/python -m tests.schedules $(if $(SCHEDULES),--count $(SCHEDULES)) $(if $(SEED),--seed $(SEED))

bench-api: venv-dev ## Measure: looking into a catalogue of 100,000 scenes against one of 20, also through the gateway; views/s; my page
	@$(BIN)/python -m bench.api $(ARGS)
	@$(BIN)/python -m bench.mypage $(ARGS)

bench-bus: venv-dev ## Measure: the outbox' way to the broker against a bare loop, and its latency, at 0 to 1,000,000 rows
	@$(BIN)/python -m bench.bus $(ARGS)

bench-notice: venv-dev ## Measure: from "analysis reported" to "frame at the client"
	@$(BIN)/python -m bench.notice

bench-jobs: venv-dev ## Measure: 1, 16, 64, 200 takes at once from the upload to the screen: make bench-jobs [ARGS=--kill-broker=60]
	@$(BIN)/python -m bench.jobs $(ARGS)

bench-revocation: venv-dev ## Measure: from a logout to the token's refusal and the end of its stream, 1,000 streams open
	@$(BIN)/python -m bench.revocation $(ARGS)

bench-token: venv-dev ## Measure: what the gateway's look at a bearer costs, against its signature alone
	@$(BIN)/python -m bench.token $(ARGS)

bench-upload: venv-dev ## Measure: memory of an upload of 200 MB against one of 2 MB
	@$(BIN)/python -m bench.upload

bench-mixing: venv-dev ## Measure: time and memory of mixing a dubbing, scenes of 10 s to 5 minutes
	@$(BIN)/python -m bench.mixing

bench-limits: venv-dev ## Measure: what a limit costs a request: make bench-limits [ARGS="--store redis://127.0.0.1:6379/0"]
	@$(BIN)/python -m bench.limits $(ARGS)

lock: venv-dev ## Compile requirements/*.txt from pyproject.toml; UPGRADE=--upgrade takes newer versions
	$(COMPILE) $(UPGRADE) --extra dev -o requirements/dev.txt
	$(COMPILE) --extra local -c requirements/dev.txt -o requirements/local.txt
	for service in $(SERVICES); do \
		$(COMPILE) --extra $$service -c requirements/dev.txt -o requirements/$$service.txt || exit 1; \
	done

clean: ## Remove .venv and caches; the platform's state stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
	find $(PACKAGES) -name __pycache__ -type d -prune -exec rm -rf {} +
