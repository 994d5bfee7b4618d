# Twofold's build (GNU make). Sources are found by wildcard: to add a file, just write it.
#   make deps        install the Debian packages that the build needs
#   make             the programs, optimised, in build/
#   make asan        the same in build/asan/ with sanitizers and fault points
#   make test        packages, both builds, and every test (T="unit/bytes fault" picks some by name)
#   make lint        layers, format, static analysis; `make format` applies the format
#   make deb         packages for Debian; `make offline-bundle`: all that a site with no network needs
#   make demo|bench|install|uninstall|po|clean
# Variables: WERROR=1 (warnings are errors), V=1 (show commands), BUILD=dir, PREFIX, DESTDIR, CC,
# CFLAGS, LDFLAGS, JOBS and TEST_TIMEOUT (tests/run.sh), FUZZ_ITERATIONS.

BUILD   ?= build
VARIANT ?= fast
PREFIX  ?= /usr/local
VERSION := $(shell cat VERSION)
FUZZ_ITERATIONS ?= 20000

MAKEFLAGS += --no-builtin-rules --no-print-directory
ifeq ($(MAKELEVEL),0)
MAKEFLAGS += -j$(shell nproc)
endif
.DELETE_ON_ERROR:
.SECONDARY:
.DEFAULT_GOAL := all
Q := $(if $(V),,@)

# --- flags -----------------------------------------------------------------------------------------
PKGS := libssl libcrypto libzstd libarchive libssh2 libcyaml jansson sqlite3 libcurl libsystemd libseccomp libpq libmariadb zlib
PAPER_PKGS := pangocairo cairo fontconfig# twofold-paper alone
ifeq ($(origin CC),default)
CC := gcc
endif
WARNINGS := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wno-unused-parameter \
            -Wformat=2 $(if $(WERROR),-Werror)
ifeq ($(VARIANT),asan)
# gcc's sanitizers confuse its flow warnings; the optimised build has them. libubsan is linked
# statically because two shared runtimes fight over log_path, by which tests/run.sh finds reports.
# A fixed address spares each start 180,000 relocations (most are of what the sanitizer keeps of globals).
CFLAGS    ?= -O1 -g
HARDENING := -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=all \
             -Wno-maybe-uninitialized -Wno-format-truncation -Wno-stringop-overflow
DEFINES   := -DTWOFOLD_FAULTS
LINKING   := -no-pie -static-libubsan
else
CFLAGS    ?= -O2 -g
HARDENING := -fstack-protector-strong -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2
LINKING   := -pie
endif
DEFINES  += -D_GNU_SOURCE -DTWOFOLD_VERSION='"$(VERSION)"'
INCLUDES := -I. $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PAPER_INCLUDES := $(shell pkg-config --cflags $(PAPER_PKGS) 2>/dev/null)
COMPILE   = $(CC) -std=c17 $(DEFINES) $(INCLUDES) $(CPPFLAGS) $(CFLAGS) $(WARNINGS) $(HARDENING) \
            -fPIE -pthread
LINK      = $(CC) $(CFLAGS) $(HARDENING) -pthread -Wl,-z,relro,-z,now -Wl,--as-needed \
            $(LINKING) $(LDFLAGS)
LDLIBS   := $(shell pkg-config --libs $(PKGS) 2>/dev/null) -lrsync -lm
PAPER_LIBS := $(shell pkg-config --libs $(PAPER_PKGS) 2>/dev/null)

# --- sources ---------------------------------------------------------------------------------------
OBJ     := $(BUILD)/obj
sources  = $(sort $(filter-out %/main.c,$(wildcard $(1)/*.c $(1)/*/*.c)))
objects  = $(patsubst %.c,$(OBJ)/%.o,$(1))
archives = $(patsubst %,$(BUILD)/lib/libtwofold-%.a,$(1))

LIBS        := $(sort base crypto codec vault store wire $(patsubst lib/%/,%,$(wildcard lib/*/)))
AGENT_PARTS := $(LIBS) policies agents
ALL_PARTS   := $(AGENT_PARTS) restore orchestrator
$(foreach l,$(LIBS),$(eval SRC_$(l) := $(call sources,lib/$(l))))
$(foreach p,policies agents restore orchestrator,$(eval SRC_$(p) := $(call sources,$(p))))

# In the tests' folders: test_*.c and fuzz_*.c are tests, prog_*.c are programs that tests start,
# bench_*.c are programs for tests/bench/bench.sh; everything else is help that they may link.
TEST_DIRS   := unit contract format fault integration
tests_named  = $(sort $(wildcard $(foreach d,$(1),tests/$(d)/$(2) tests/$(d)/*/$(2))))
picked       = $(if $(T),$(foreach p,$(1),$(if $(strip $(foreach t,$(T),$(findstring $(t),$(p)))),$(p))),$(1))
TEST_C      := $(call picked,$(call tests_named,$(TEST_DIRS),test_*.c))
FUZZ_C      := $(call picked,$(call tests_named,fuzz,fuzz_*.c))
PROG_C      := $(call tests_named,$(TEST_DIRS),prog_*.c)
BENCH_C     := $(call tests_named,bench,bench_*.c)
SCENARIOS   := $(call picked,$(call tests_named,integration,[0-9]*.sh))
SRC_testkit := $(filter-out tests/fuzz/replay.c $(foreach n,test fuzz prog bench,$(wildcard \
                   tests/*/$(n)_*.c tests/*/*/$(n)_*.c)),$(wildcard tests/*.c) $(call sources,tests/*))
in_build     = $(patsubst %.c,$(BUILD)/%,$(1))

# A program is a main.c: twofold, twofold-agent, twofoldd (the scheduler), twofold-ssh (talks SSH, without privileges),
# twofold-paper (draws PDF).
MAIN_twofold       := orchestrator/main.c
MAIN_twofold-agent := agents/main.c
MAIN_twofoldd      := orchestrator/daemon/main.c
MAIN_twofold-ssh   := lib/ssh/main.c
MAIN_twofold-paper := restore/report/main.c
NAMES    := $(foreach n,twofold twofold-agent twofoldd twofold-ssh twofold-paper,$(if $(wildcard $(MAIN_$(n))),$(n)))
PROGRAMS := $(addprefix $(BUILD)/,$(NAMES))
LOCALES  := $(patsubst po/%.po,$(BUILD)/locale/%/LC_MESSAGES/twofold.mo,$(wildcard po/*.po))
PRODUCT_C := $(sort $(foreach p,$(ALL_PARTS),$(SRC_$(p))) $(foreach n,$(NAMES),$(MAIN_$(n))))
ALL_C    := $(PRODUCT_C) $(sort $(wildcard tests/*.c) $(call sources,tests/*))
ALL_H    := $(sort $(shell find lib policies agents restore orchestrator tests -name '*.h' 2>/dev/null))
SCRIPTS  := $(sort $(wildcard scripts/*.sh tests/*.sh tests/*/*.sh tests/*/*/*.sh .ci/run))

# --- programs --------------------------------------------------------------------------------------
.PHONY: all tests asan have-libraries FORCE
all: $(PROGRAMS) $(call archives,$(ALL_PARTS)) $(LOCALES)
tests: all $(call in_build,$(TEST_C) $(FUZZ_C) $(PROG_C))
asan:
	$(Q)$(MAKE) VARIANT=asan BUILD=$(BUILD)/asan all

$(BUILD)/twofold: $(OBJ)/orchestrator/main.o $(call archives,$(ALL_PARTS))
$(BUILD)/twofoldd: $(OBJ)/orchestrator/daemon/main.o $(call archives,$(ALL_PARTS))
$(BUILD)/twofold-agent: $(OBJ)/agents/main.o $(call archives,$(AGENT_PARTS))
$(BUILD)/twofold-ssh: $(OBJ)/lib/ssh/main.o $(call archives,$(LIBS))
$(BUILD)/twofold-paper: $(OBJ)/restore/report/main.o $(call archives,$(LIBS) policies restore)
$(BUILD)/twofold-paper: private LDLIBS += $(PAPER_LIBS)
$(BUILD)/tests/fuzz/fuzz_%: $(OBJ)/tests/fuzz/fuzz_%.o $(OBJ)/tests/fuzz/replay.o \
                            $(call archives,testkit $(ALL_PARTS)) | have-libraries
	$(link_program)
$(BUILD)/tests/%: $(OBJ)/tests/%.o $(call archives,testkit $(ALL_PARTS))
	$(link_program)
$(PROGRAMS):
	$(link_program)
$(BUILD)/tests/%: private LDLIBS += -lcmocka

define link_program
@mkdir -p $(@D)
$(if $(V),,@echo "  LD   $@")
$(Q)$(LINK) -o $@ $(filter %.o,$^) -Wl,--start-group $(filter %.a,$^) -Wl,--end-group $(LDLIBS)
endef

# --- objects and archives --------------------------------------------------------------------------
$(OBJ)/%.o: %.c $(OBJ)/flags | have-libraries
	@mkdir -p $(@D)
	$(if $(V),,@echo "  CC   $@")
	$(Q)$(COMPILE) -MMD -MP -c -o $@ $<
# What draws with pango and cairo.
DRAWING := restore/report/pdf restore/report/pdf_glyphs restore/report/main
$(DRAWING:%=$(OBJ)/%.o) $(DRAWING:%=$(BUILD)/tidy/%.ok): private INCLUDES += $(PAPER_INCLUDES)
# A fuzz target's entry point has its prototype in the fuzzer, not in a header of ours.
$(OBJ)/tests/%: private WARNINGS += -Wno-missing-prototypes

define archive_rule
$(BUILD)/lib/libtwofold-$(1).a: $(call objects,$(SRC_$(1))) $(OBJ)/$(1).list
	@mkdir -p $$(@D)
	$(Q)rm -f $$@ && ar rcs $$@ $$(filter %.o,$$^)
$(OBJ)/$(1).list: CONTENT := $(SRC_$(1))
$(OBJ)/$(1).list: FORCE
	$$(write_if_changed)
endef
$(foreach p,$(ALL_PARTS) testkit,$(eval $(call archive_rule,$(p))))

# Other flags or a removed source must rebuild what was made with the old ones.
define write_if_changed
@mkdir -p $(@D)
$(file >$(@D)/.$(@F).new,$(CONTENT))@cd $(@D) && cmp -s .$(@F).new $(@F) && rm .$(@F).new || mv .$(@F).new $(@F)
endef
$(OBJ)/flags: CONTENT = $(COMPILE) $(LINK) $(LDLIBS)
$(OBJ)/flags: FORCE
	$(write_if_changed)
$(shell mkdir -p $(OBJ))

have-libraries:
	@pkg-config --print-errors --exists $(PKGS) $(PAPER_PKGS) || { echo "libraries are missing: run make deps" >&2; exit 1; }

-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)

# --- tests -----------------------------------------------------------------------------------------
.PHONY: deps test fuzz-replay demo bench
deps:
	@scripts/deps.sh build

ASAN_TESTS = $(patsubst %.c,$(BUILD)/asan/%,$(1))
# WERROR: the scenario that makes packages must find the build as it is, not make all of it anew with other flags.
RUN_TESTS  = WERROR=$(WERROR) TWOFOLD=$(BUILD)/asan/twofold AGENT=$(BUILD)/asan/twofold-agent \
             TWOFOLD_FAST=$(BUILD)/twofold AGENT_FAST=$(BUILD)/twofold-agent \
             TEST_PROGRAMS=$(BUILD)/asan/tests FUZZ_ITERATIONS=$(FUZZ_ITERATIONS) tests/run.sh
test:
	@scripts/deps.sh test
	@$(MAKE) all
	@$(MAKE) VARIANT=asan BUILD=$(BUILD)/asan tests
	@$(RUN_TESTS) $(call picked,scripts/check-layers.sh) $(SCENARIOS) $(call ASAN_TESTS,$(TEST_C) $(FUZZ_C))
fuzz-replay:
	@scripts/deps.sh test
	@$(MAKE) VARIANT=asan BUILD=$(BUILD)/asan $(call ASAN_TESTS,$(FUZZ_C))
	@$(RUN_TESTS) $(call ASAN_TESTS,$(FUZZ_C))
demo:
	@scripts/deps.sh demo
	@$(MAKE) all
	@TWOFOLD=$(abspath $(BUILD)/twofold) AGENT=$(abspath $(BUILD)/twofold-agent) scripts/demo.sh
bench:
	@scripts/deps.sh test
	@$(MAKE) all $(call in_build,$(BENCH_C))
	@TWOFOLD=$(abspath $(BUILD)/twofold) AGENT=$(abspath $(BUILD)/twofold-agent) \
	    BENCH_PROGRAMS=$(abspath $(BUILD)/tests/bench) tests/bench/bench.sh

# --- lint ------------------------------------------------------------------------------------------
.PHONY: lint lint-deps lint-all lint-text format
lint-deps:
	@scripts/deps.sh lint
lint: lint-deps
	@$(MAKE) lint-all
lint-all: lint-text $(patsubst %.c,$(BUILD)/tidy/%.ok,$(PRODUCT_C))
	@echo "lint: all well"
lint-text:
	$(Q)scripts/check-layers.sh
	$(Q)clang-format --dry-run -Werror $(ALL_C) $(ALL_H)
	$(Q)shellcheck -S warning $(SCRIPTS)
	$(Q)wc -l $(ALL_C) $(ALL_H) $(SCRIPTS) Makefile | awk '$$1 > 900 && $$2 != "total" \
	    { print "more than 900 lines: " $$2 " (" $$1 ")"; bad = 1 } END { exit bad }' >&2
	$(Q)cppcheck -q --std=c11 --error-exitcode=1 --inline-suppr -I. --enable=warning,portability \
	    --suppress=missingIncludeSystem --suppress=internalAstError $(PRODUCT_C)
TIDY_HINTS := -include scripts/lint.h
$(BUILD)/tidy/lib/base/err.ok: TIDY_HINTS :=
$(BUILD)/tidy/%.ok: %.c $(ALL_H) .clang-tidy scripts/lint.h
	@mkdir -p $(@D)
	$(if $(V),,@echo "  TIDY $<")
	$(Q)clang-tidy --quiet $< -- -std=c17 $(TIDY_HINTS) $(DEFINES) $(INCLUDES) 2>$@.err || { cat $@.err >&2; exit 1; }
	@rm -f $@.err; touch $@
format:
	clang-format -i $(ALL_C) $(ALL_H)

# --- messages --------------------------------------------------------------------------------------
.PHONY: po
$(BUILD)/locale/%/LC_MESSAGES/twofold.mo: po/%.po
	@mkdir -p $(@D)
	$(Q)msgfmt -c -o $@ $<
po:
	@mkdir -p po
	xgettext --from-code=UTF-8 --add-comments=TRANSLATORS --keyword=_ --keyword=N_ --keyword=P_:1,2 \
	    --package-name=twofold --package-version=$(VERSION) --width=100 -o po/twofold.pot \
	    $(PRODUCT_C) $(filter-out tests/% lib/base/i18n.h,$(ALL_H))
	sed -i /POT-Creation-Date/d po/twofold.pot # or every run would change it
	test -f po/zh_CN.po || { msginit --no-translator -l zh_CN.UTF-8 -i po/twofold.pot -o po/zh_CN.po && \
	    sed -i s/charset=ASCII/charset=UTF-8/ po/zh_CN.po; }
	msgmerge --quiet --update --backup=none --width=100 po/zh_CN.po po/twofold.pot
	@msgfmt --statistics -o /dev/null po/zh_CN.po

# --- installation ----------------------------------------------------------------------------------
.PHONY: install uninstall clean
INSTALLED = $(DESTDIR)$(PREFIX)
DOCS     := $(wildcard README.md README.zh-CN.md LICENSE docs/*.md)
install: all
	install -d $(INSTALLED)/bin $(INSTALLED)/share/doc/twofold
	install -m 755 $(PROGRAMS) $(INSTALLED)/bin/
	install -m 644 $(DOCS) $(INSTALLED)/share/doc/twofold/
	cp -R policies/drivers policies/examples policies/hooks policies/standby $(INSTALLED)/share/doc/twofold/
	$(if $(LOCALES),cp -R $(BUILD)/locale $(INSTALLED)/share/)
	install -D -m 644 completion/twofold.bash $(INSTALLED)/share/bash-completion/completions/twofold
	install -d $(INSTALLED)/lib/systemd/system
	install -m 644 systemd/*.service systemd/*.timer $(INSTALLED)/lib/systemd/system/
	rm -rf $(BUILD)/man && scripts/man.sh $(BUILD) $(BUILD)/man && scripts/man.sh $(BUILD) $(BUILD)/man/zh_CN zh_CN
	install -d $(INSTALLED)/share/man
	cp -R $(BUILD)/man/. $(INSTALLED)/share/man/
uninstall:
	rm -f $(addprefix $(INSTALLED)/bin/,$(notdir $(PROGRAMS)))
	rm -f $(addprefix $(INSTALLED)/lib/systemd/system/,$(notdir $(wildcard systemd/*)))
	rm -f $(INSTALLED)/share/man/man[18]/twofold*.[18] $(INSTALLED)/share/man/zh_CN/man[18]/twofold*.[18]
	rm -f $(INSTALLED)/share/bash-completion/completions/twofold
	rm -f $(patsubst $(BUILD)/%,$(INSTALLED)/share/%,$(LOCALES))
	rm -rf $(INSTALLED)/share/doc/twofold
# Packages for Debian in build/deb, and everything for a site with no network in one archive.
.PHONY: deb offline-bundle
deb: all
	@scripts/deps.sh package
	@scripts/deb.sh $(BUILD)
offline-bundle: deb
	@scripts/offline-bundle.sh $(BUILD)/deb $(BUILD)/twofold-offline_$(VERSION)_$$(dpkg --print-architecture).tar
clean:
	rm -rf $(BUILD)
