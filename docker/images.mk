# The verbs of the images. docker/image does the work; its head says what can be set: BUILDER, TORCH_INDEX, DRY_RUN ...
IMAGES := $(shell awk '/^[a-z]/ {print $$1 "-cpu", $$1 "-cuda"}' docker/images.txt)

.PHONY: build-all login-inhouse lock

build/%:  ## build an image, e.g. build/dextr-cpu or build/dextr-cuda
	@docker/image build $*

build-all: $(IMAGES:%=build/%)  ## build all images

test-image/%: install  ## test an image that is built
	MASKWORKS_IMAGE=$* $(BIN)/pytest -q tests/images

tag/%:  ## give an image the name and version under which it is published
	@docker/image tag $*

login-inhouse:  ## log into the in-house registry
	@docker/image login-inhouse

push-inhouse/%:  ## push an image to the in-house registry (DRY_RUN=1 shows how)
	@docker/image push-inhouse $*

push-hub/%:  ## push an image to Docker Hub (DRY_RUN=1 shows how)
	@docker/image push-hub $*

sbom/%:  ## list what is in an image: maskworks-MODEL-DEVICE.cdx.json (CycloneDX)
	@$(if $(DRY_RUN),docker/image sbom $*,docker/image sbom $* >maskworks-$*.cdx.json.new && \
	  mv maskworks-$*.cdx.json.new maskworks-$*.cdx.json || { rm -f maskworks-$*.cdx.json.new; exit 1; })

lock: install  ## write the images' lock files anew from constraints.txt
	$(BIN)/python docker/lock.py
