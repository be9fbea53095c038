# Every target is one line into hack/, which says what it does.
.PHONY: build run test vm az tofu page lint verify release bench clean help

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/'
build: ## build bin/drydock
	@hack/build.sh
run: ## the main job: upgrade 3+3 machines v1.35 to v1.36 while the etcd leader crashes, on the lab
	@hack/run.sh
test: ## all tests a fresh machine can run: unit tests, then the quick suites on the lab
	@hack/test.sh
vm: ## get a kernel and QEMU, for scenarios that need machines with a kernel of their own
	@hack/vm.sh
az: ## get the Azure CLI of Debian, for specs that run it against the twin
	@hack/az.sh
tofu: ## build OpenTofu and Terraform's provider azapi, for specs that run them against the twin
	@hack/tofu.sh
page: ## get headless Chromium and axe-core, for the tests that look at the HTML report
	@hack/page.sh
lint: ## golangci-lint with the version of hack/tools
	@hack/lint.sh
verify: ## every check of the tree, all of them before failing
	@hack/verify.sh
release: ## reproducible archives with checksums and bills of materials, and a container image, of the commit into dist
	@hack/release.sh
bench: ## time to ready, memory, time of down, and an upgrade against kubeadm's bare commands, and the twin, in one run
	@hack/bench.sh
clean: ## remove what build made; caches stay
	@rm -rf bin
