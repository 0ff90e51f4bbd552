# `make` or `make help` lists what there is.

SHELL := /usr/bin/env bash -o pipefail
.SHELLFLAGS := -ec
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := $(CURDIR)/bin
MODULE := github.com/dynamic-mcp/dynamic-mcp

# Tools are Go modules, built into bin/ at these versions. golangci-lint's version is in hack/tools/golangci-lint/go.mod,
# setup-envtest's in hack/envtest/assets.sh.
CONTROLLER_GEN_VERSION := v0.23.0
KUSTOMIZE_VERSION := v5.8.2
CRD_REF_DOCS_VERSION := v0.3.0
KO_VERSION := v0.19.1
KIND_VERSION := v0.33.0
HELM_VERSION := v4.3.1
COSIGN_VERSION := v3.1.3
ACTIONLINT_VERSION := v1.7.12
CONTROLLER_GEN := $(BIN)/controller-gen-$(CONTROLLER_GEN_VERSION)
KUSTOMIZE := $(BIN)/kustomize-$(KUSTOMIZE_VERSION)
CRD_REF_DOCS := $(BIN)/crd-ref-docs-$(CRD_REF_DOCS_VERSION)
GOLANGCI_LINT := $(BIN)/golangci-lint
KO := $(BIN)/ko-$(KO_VERSION)
KIND := $(BIN)/kind-$(KIND_VERSION)
HELM := $(BIN)/helm-$(HELM_VERSION)
COSIGN := $(BIN)/cosign-$(COSIGN_VERSION)
ACTIONLINT := $(BIN)/actionlint-$(ACTIONLINT_VERSION)

# What version the binary says it is.
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null)
LDFLAGS := -s -w -X $(MODULE)/internal/version.Version=$(VERSION)

# Of `make test`: the packages, and more flags of go test, e.g. make test PKG=./internal/resolve TESTFLAGS='-run Golden -v'
PKG ?= ./...
TESTFLAGS ?=
TEST_TIMEOUT ?= 20m
# Of `make fuzz`: how long each target runs.
FUZZTIME ?= 30s
# Of `make bench`: rounds, the length of each window, regular expressions of the cells and targets, and more flags.
ROUNDS ?= 5
WINDOW ?= 1s
CELLS ?= .*
TARGETS ?= .*
BENCHFLAGS ?=
# Of the images: the name, and the architectures that `make image` builds.
IMG ?= dynamic-mcp:dev
ARCHS ?= amd64 arm64
# Of `make release`: is anything published, and signed? REGISTRY_USER, REGISTRY_PASSWORD: see hack/release.sh.
PUBLISH = $(if $(REGISTRY),$(filter-out yes,$(or $(DRY_RUN),no)))
# Of `make run`: where the gateway and the two sample servers listen. From the command line only: PORT is a usual
# environment variable.
PORT = 8080
FIRST_PORT = 3001
WEATHER_PORT = 3002
# Of `make run-manager`: more flags of the manager.
ARGS ?=
KUBECTL ?= kubectl
export KUBECTL

say = @echo '>> $(1)' >&2

##@ General

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN {FS = ":.*## ?"; printf "Usage: make <target>\n"} \
		/^[a-zA-Z0-9_-]+:.*##/ {printf "  %-20s%s\n", $$1, $$2} \
		/^##@/ {printf "\n%s\n", substr($$0, 5)}' $(MAKEFILE_LIST)

##@ Build and test

.PHONY: build
build: ## Build bin/dynamic-mcp, a static binary.
	$(call say,building bin/dynamic-mcp $(VERSION))
	@CGO_ENABLED=0 hack/go-build.sh -trimpath -ldflags '$(LDFLAGS)' -o $(BIN)/dynamic-mcp ./cmd

.PHONY: run
run: build ## Run it all on this machine, without a cluster: two sample MCP servers behind a gateway (PORT, FIRST_PORT, WEATHER_PORT).
	@CGO_ENABLED=0 hack/go-build.sh -trimpath -o $(BIN)/sample-server ./examples/server
	@CGO_ENABLED=0 hack/go-build.sh -trimpath -o $(BIN)/run-samples ./hack/run
	@exec $(BIN)/run-samples --port=$(PORT) --first-port=$(FIRST_PORT) --weather-port=$(WEATHER_PORT)

.PHONY: test
test: $(HELM) $(KUSTOMIZE) ## Run every test: unit, golden, CRD, envtest and end-to-end (PKG, TESTFLAGS, TEST_TIMEOUT).
	$(call say,getting kube-apiserver and etcd)
	@hack/envtest/assets.sh >/dev/null
	@$(MAKE) build
	$(call say,testing $(PKG); the first run compiles everything with the race detector before it says anything)
	@KUBEBUILDER_ASSETS="$$(hack/envtest/assets.sh)" HELM=$(HELM) KUSTOMIZE=$(KUSTOMIZE) \
		go test -race -timeout $(TEST_TIMEOUT) $(TESTFLAGS) $(PKG)

.PHONY: test-conformance
test-conformance: ## Of `make test`, the official MCP conformance suite alone, with what passes (TESTFLAGS).
	@go test -race -v -timeout $(TEST_TIMEOUT) $(TESTFLAGS) ./test/conformance

.PHONY: test-e2e
test-e2e: $(HELM) $(KUSTOMIZE) $(KO) ## The user stories in pods: on kind if Docker runs, else on hack/cluster, or by KUBECONFIG and IMAGE_LOAD_COMMAND (CLUSTER, KEEP, TESTFLAGS).
	@BIN=$(BIN) KIND=$(KIND) HELM=$(HELM) KUSTOMIZE=$(KUSTOMIZE) hack/e2e.sh $(TESTFLAGS)

.PHONY: test-release
test-release: $(HELM) $(KUSTOMIZE) $(KO) $(COSIGN) ## A release, published to a registry on this machine and read back (TESTFLAGS).
	@KO=$(KO) HELM=$(HELM) KUSTOMIZE=$(KUSTOMIZE) COSIGN=$(COSIGN) \
		go test -count=1 -timeout $(TEST_TIMEOUT) $(TESTFLAGS) ./test/release

.PHONY: fuzz
fuzz: ## Run every fuzz target for FUZZTIME each (default 30s).
	@FUZZTIME=$(FUZZTIME) hack/fuzz.sh

.PHONY: bench
bench: build ## Compare the cost of a call with that of plain reverse proxies, in 5 minutes (ROUNDS, WINDOW, CELLS, TARGETS, BENCHFLAGS).
	@CGO_ENABLED=0 hack/go-build.sh -trimpath -o $(BIN)/bench ./test/bench
	$(call say,measuring; leave the machine alone meanwhile)
	@DYNAMIC_MCP=$(BIN)/dynamic-mcp $(BIN)/bench compare -rounds='$(ROUNDS)' -window='$(WINDOW)' \
		-cells='$(CELLS)' -targets='$(TARGETS)' $(BENCHFLAGS)

.PHONY: envtest
envtest: ## Print the folder of kube-apiserver, etcd and kubectl (KUBEBUILDER_ASSETS); get them first if need be.
	@hack/envtest/assets.sh

.PHONY: clean
clean: ## Remove bin/ and what tests leave. The caches of Go and of envtest stay.
	rm -rf $(BIN) cover.out

##@ Images

.PHONY: image
image: $(KO) ## Build bin/image-<arch>.tar and bin/sbom-<arch>.spdx.json, without Docker and without a registry (IMG, ARCHS).
	@KO=$(KO) VERSION='$(VERSION)' hack/image.sh '$(IMG)' $(BIN) $(ARCHS)

.PHONY: sbom
sbom: image ## The same: the SBOM (SPDX) of an image is made with it.
	@ls $(foreach arch,$(ARCHS),$(BIN)/sbom-$(arch).spdx.json)

.PHONY: docker-build
docker-build: ## Build the image with Docker (IMG).
	docker build --build-arg VERSION='$(VERSION)' -t '$(IMG)' .

.PHONY: release
release: $(KO) $(HELM) $(KUSTOMIZE) $(if $(PUBLISH),$(COSIGN)) ## Build bin/release of the tag VERSION; with REGISTRY, publish it, signed (DRY_RUN).
	@KO=$(KO) HELM=$(HELM) KUSTOMIZE=$(KUSTOMIZE) COSIGN=$(COSIGN) hack/release.sh '$(VERSION)'

##@ Code

.PHONY: fmt
fmt: $(GOLANGCI_LINT) ## Format the Go code (gofmt, goimports).
	@$(GOLANGCI_LINT) fmt ./...

.PHONY: vet
vet: ## Run go vet.
	@go vet ./...

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Run golangci-lint, with kube-api-linter for api/.
	$(call say,linting)
	@$(GOLANGCI_LINT) run ./...

.PHONY: lint-fix
lint-fix: $(GOLANGCI_LINT) ## Run golangci-lint and mend what it can.
	@$(GOLANGCI_LINT) run --fix ./...

.PHONY: generate
generate: $(CONTROLLER_GEN) ## Generate deepcopy methods.
	$(call say,generating deepcopy methods)
	@$(CONTROLLER_GEN) object:headerFile=hack/boilerplate.go.txt paths=./api/...

.PHONY: manifests
manifests: $(CONTROLLER_GEN) ## Generate the CRDs, RBAC roles and webhook configuration in config/.
	$(call say,generating manifests)
	@$(CONTROLLER_GEN) crd paths=./api/... output:crd:artifacts:config=config/crd/bases
	@$(CONTROLLER_GEN) rbac:roleName=manager-role webhook paths=./internal/...

.PHONY: docs
docs: $(CRD_REF_DOCS) ## Generate docs/api-reference.md from api/.
	$(call say,generating docs/api-reference.md)
	@$(CRD_REF_DOCS) --source-path=api --config=hack/crd-ref-docs/config.yaml --templates-dir=hack/crd-ref-docs/templates \
		--renderer=markdown --max-depth=20 --output-path=docs/api-reference.md >/dev/null

.PHONY: build-installer
build-installer: $(KUSTOMIZE) ## Generate dist/install.yaml (IMG) and the files of the Helm chart from config/.
	$(call say,generating dist/install.yaml and charts/dynamic-mcp/files)
	@mkdir -p dist
	@KUSTOMIZE=$(KUSTOMIZE) hack/installer.sh manifest '$(IMG)' >dist/.install.yaml
	@cmp -s dist/.install.yaml dist/install.yaml && rm dist/.install.yaml || mv dist/.install.yaml dist/install.yaml
	@KUSTOMIZE=$(KUSTOMIZE) hack/installer.sh chart

.PHONY: helm-lint
helm-lint: $(HELM) ## Lint the Helm chart.
	@$(HELM) lint --strict --quiet charts/dynamic-mcp

.PHONY: helm-package
helm-package: $(HELM) ## Build bin/dynamic-mcp-<version>.tgz, the Helm chart of VERSION, which is like v1.2.3.
	@$(HELM) package --destination $(BIN) --version '$(VERSION:v%=%)' --app-version '$(VERSION)' charts/dynamic-mcp

.PHONY: vendor-gateway-api
vendor-gateway-api: ## Copy the Gateway API CRDs of the version in go.mod to config/crd/gateway-api.
	@hack/vendor-gateway-api.sh

.PHONY: verify
verify: $(CONTROLLER_GEN) $(CRD_REF_DOCS) $(KUSTOMIZE) $(HELM) $(GOLANGCI_LINT) $(ACTIONLINT) ## Regenerate everything, lint, and fail if that changes a file.
	@KUSTOMIZE=$(KUSTOMIZE) HELM=$(HELM) GOLANGCI_LINT=$(GOLANGCI_LINT) ACTIONLINT=$(ACTIONLINT) hack/verify.sh

##@ Cluster (the current kubeconfig)

.PHONY: install
install: $(KUSTOMIZE) ## Install the CRDs, the Gateway API's included. Never replaces newer ones or another project's (UPGRADE_GATEWAY_API).
	@KUSTOMIZE=$(KUSTOMIZE) hack/install.sh install

.PHONY: uninstall
uninstall: $(KUSTOMIZE) ## Remove this project's CRDs, and with them every Backend and all GatewayParameters. The Gateway API's stay.
	@KUSTOMIZE=$(KUSTOMIZE) hack/install.sh uninstall

.PHONY: deploy
deploy: $(KUSTOMIZE) ## Install everything in the cluster: the CRDs, and the manager of the image IMG.
	@KUSTOMIZE=$(KUSTOMIZE) IMG='$(IMG)' hack/install.sh deploy

.PHONY: undeploy
undeploy: $(KUSTOMIZE) ## Remove everything but the Gateway API's CRDs. Asks for Gateways to be deleted first.
	@KUSTOMIZE=$(KUSTOMIZE) hack/install.sh undeploy

.PHONY: run-manager
run-manager: build ## Run the manager on this machine, with each Gateway's proxy as a child process (ARGS).
	$(call say,running the manager; Ctrl-C ends it and its proxies)
	@exec $(BIN)/dynamic-mcp manager --proxy-runtime=subprocess $(ARGS)

##@ Tools

.PHONY: tools
tools: $(CONTROLLER_GEN) $(CRD_REF_DOCS) $(KUSTOMIZE) $(GOLANGCI_LINT) $(HELM) $(KO) $(ACTIONLINT) ## Build the tools into bin/, but kind and cosign: what needs those builds them.

# go-tool NAME, PACKAGE, VERSION: the file's name has the version, so that a new pin is a new file.
define go-tool
$(BIN)/$(1)-$(3):
	$$(call say,building $(1) $(3))
	@GOBIN=$(BIN)/.$(1) GOWORK=off GOFLAGS= go install $(2)@$(3)
	@mv $(BIN)/.$(1)/$(1) $$@ && rmdir $(BIN)/.$(1)
endef

$(eval $(call go-tool,controller-gen,sigs.k8s.io/controller-tools/cmd/controller-gen,$(CONTROLLER_GEN_VERSION)))
$(eval $(call go-tool,ko,github.com/google/ko,$(KO_VERSION)))
$(eval $(call go-tool,helm,helm.sh/helm/v4/cmd/helm,$(HELM_VERSION)))
$(eval $(call go-tool,kind,sigs.k8s.io/kind,$(KIND_VERSION)))
$(eval $(call go-tool,kustomize,sigs.k8s.io/kustomize/kustomize/v5,$(KUSTOMIZE_VERSION)))
$(eval $(call go-tool,cosign,github.com/sigstore/cosign/v3/cmd/cosign,$(COSIGN_VERSION)))
$(eval $(call go-tool,actionlint,github.com/rhysd/actionlint/cmd/actionlint,$(ACTIONLINT_VERSION)))
$(eval $(call go-tool,crd-ref-docs,github.com/elastic/crd-ref-docs,$(CRD_REF_DOCS_VERSION)))

$(GOLANGCI_LINT): $(addprefix hack/tools/golangci-lint/,go.mod go.sum main.go)
	$(call say,building golangci-lint with kube-api-linter; a few minutes with an empty Go cache)
	@GOWORK=off go build -C hack/tools/golangci-lint -trimpath -buildvcs=false -o $@ .
	@touch $@
