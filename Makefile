# Everything runs in .venv, made on first use. PYTHON chooses what it is made with.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

# Some machines forbid it. The tests start thousands of processes, and each would compile the server again.
unexport PYTHONDONTWRITEBYTECODE

# Servers of the tests are one for each worker, so a file's tests stay together; what measures time runs alone.
# What fails in `TESTS` runs once more: docs/decisions/0042
PYTEST = $(BIN)/python -m pytest
TWICE = $(BIN)/python -m tests.twice
TESTS = $(TWICE) -n 3 --dist loadfile -m "not alone and not long" && $(TWICE) -m "alone and not long"

# The tests of the engine, mostly with the server in the process of its tests and its storage in memory. Those that tell
# in less than two minutes whether a change holds start no store, wait for no clock and try no thousands of cases, for
# which pyproject.toml has the markers
ENGINE_TESTS = tests/auth tests/backends/test_memory.py tests/config tests/docs/test_layers.py tests/events tests/fs \
	tests/model/test_fsx.py tests/sftp tests/ssh tests/backends/test_errno_map.py

# Clients that a store is tested with; where there is one bucket for all, those of tests/stores alone
STORE_CLIENTS = tests/clients/test_openssh_sftp.py tests/clients/test_rclone.py tests/clients/test_paramiko.py

# What the image is made of, for every Python that the server runs on, with a hash of each file
LOCK = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock'

.PHONY: help run test test-fast test-engine test-long test-oldest test-store mutants check budget bench docs dist lock sbom image fmt clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# --group needs pip 25.1; the pip that comes with Python is often older
$(READY): pyproject.toml
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable '.[demo]' --group dev
	touch $(READY)

run: $(READY) ## the server with an S3 store of its own and a demo user
	$(BIN)/s3sftp demo

test: $(READY) ## the tests
	$(TESTS)

test-long: $(READY) ## the tests that take minutes: scanners, installations, a soak. Before a release
	$(PYTEST) -m long

test-fast: $(READY) ## the quick tests of the engine, in two minutes on two cores
	$(PYTEST) -n 3 --dist loadfile -m "not alone and not store and not slow" $(ENGINE_TESTS)

test-engine: $(READY) ## all tests of the engine, in seven minutes on two cores
	$(PYTEST) -n 3 --dist loadfile -m "not alone" $(ENGINE_TESTS)

# with what the account has: ACCESS_KEY=… SECRET_KEY=…, or the AWS variables. NAME: its row in tests/stores/lacks.py
test-store: export AWS_ACCESS_KEY_ID := $(or $(ACCESS_KEY),$(AWS_ACCESS_KEY_ID))
test-store: export AWS_SECRET_ACCESS_KEY := $(or $(SECRET_KEY),$(AWS_SECRET_ACCESS_KEY))
test-store: $(READY) ## the tests of S3 on a store of yours (URL=… NAME=… REGION=… BUCKET=… OPTIONS='checksum=md5')
	$(PYTEST) --store-url $(URL) --store-name $(or $(NAME),given) --store-region $(or $(REGION),us-east-1) \
		$(if $(BUCKET),--store-bucket $(BUCKET)) $(foreach option,$(OPTIONS),--store-option $(option)) \
		$(if $(BUCKET),,tests/backends/s3 $(STORE_CLIENTS)) tests/backends/test_promises.py tests/stores

check: $(READY) ## what CI runs: format, lint, types, tests
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(TESTS)

test-oldest: ## the tests of S3 and of users in AWS on the oldest supported aiobotocore
	$(MAKE) VENV=.venv-oldest .venv-oldest/.ready
	.venv-oldest/bin/python -m pip install --quiet 'aiobotocore[boto3]==2.25.*'
	.venv-oldest/bin/python -m pytest -n 2 --dist loadfile tests/backends tests/auth/test_aws_*.py tests/cli/test_aws_*.py

mutants: $(READY) ## faults put into the pure modules, and whether the tests notice (ARGS='s3sftp.fs.read.read_ahead*': there)
	$(BIN)/python -m pip install --quiet --group mutants
	$(BIN)/python -m tests.mutants $(ARGS)

budget: $(READY) ## what operations cost in S3 requests, measured
	$(BIN)/python -m tests.limits.operations

bench: $(READY) ## compare with other servers (ARGS=--quick: for orientation)
	$(BIN)/python -m bench $(ARGS)

docs: $(READY) ## write the pages that are made from the code, and build the site into build/site
	$(BIN)/python docs/tools/configuration.py
	$(BIN)/python docs/tools/algorithms.py
	$(BIN)/python docs/tools/costs.py
	$(BIN)/python docs/tools/terraform.py
	$(BIN)/python docs/tools/metrics.py
	$(BIN)/python docs/tools/modules.py
	$(BIN)/python docs/tools/users_schema.py
	$(BIN)/python helm/tools/dashboard.py
	$(BIN)/python helm/tools/schema.py
	$(BIN)/python helm/tools/readme.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --clean

# the same commit gives the same bytes: docs/release.md
dist: $(READY) ## wheel and sdist into dist/, checked, with their SHA256SUMS
	rm -rf dist
	SOURCE_DATE_EPOCH=$$(git log -1 --format=%ct) $(BIN)/python -m build --outdir dist
	$(BIN)/python -m twine check --strict dist/*
	cd dist && sha256sum *.whl *.tar.gz > SHA256SUMS

lock: $(READY) ## write the image's requirements anew, with the newest versions that pyproject.toml allows
	$(BIN)/python -m pip install --quiet --group lock
	$(LOCK) --upgrade pyproject.toml --extra service --output-file requirements.lock
	$(LOCK) --upgrade deploy/image/build.in --output-file deploy/image/build.lock

sbom: ## what the image contains, as CycloneDX, from requirements.lock into build/sbom.cdx.json
	test -x $(VENV)-sbom/bin/python || $(PYTHON) -m venv $(VENV)-sbom
	$(VENV)-sbom/bin/python -m pip install --quiet --require-hashes --requirement deploy/image/build.lock
	mkdir -p build
	$(VENV)-sbom/bin/cyclonedx-py requirements --output-reproducible --pyproject pyproject.toml \
		--output-file build/sbom.cdx.json requirements.lock

image: ## the image s3sftp, by podman (CONTAINERS=docker: by docker)
	$(or $(CONTAINERS),podman) build --format docker --build-arg REVISION=$$(git rev-parse HEAD) -t s3sftp .

fmt: $(READY) ## format, and fix what can be fixed
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean: ## remove what was built, and the environment
	rm -rf $(VENV) $(VENV)-sbom .venv-oldest build dist mutants .mypy_cache .ruff_cache .pytest_cache .hypothesis
