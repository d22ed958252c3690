# lcpfs: build, test, install.  `make help` lists the targets.
VERSION   := 0.1.0
SOVERSION := 0
PREFIX    ?= /usr/local
DESTDIR   ?=
CC        ?= cc
SAN       ?=
comma     := ,
B         := $(if $(O),$(O),$(if $(SAN),build-$(subst $(comma),-,$(SAN)),build))

PKGS      := libzstd liblz4 liblzma libsodium libarchive libcrypto blkid libacl
WARN      := -Wall -Wextra -Wshadow -Wmissing-prototypes -Wvla -Werror
OPT       ?= -O2 -g
CFLAGS_   := -std=c17 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DLCPFS_VERSION='"$(VERSION)"' -Iinclude -Ilib -Icmd \
             -fPIC -pthread $(WARN) $(OPT) $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
LDFLAGS_  := -pthread -Wl,--as-needed $(if $(SAN),-fsanitize=$(SAN))
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) 2>/dev/null)
PKG_LIBS   = $(shell pkg-config --libs $(PKGS) 2>/dev/null)

LIB_SRC   := $(sort $(wildcard lib/*/*.c))
LIB_OBJ   := $(LIB_SRC:%.c=$B/%.o)
COMMON    := $(sort $(wildcard cmd/common/*.c))
COMMON_O  := $(COMMON:%.c=$B/%.o)
VERBS     := $(sort $(filter-out common lcpfs,$(patsubst cmd/%/,%,$(dir $(wildcard cmd/*/*.c)))))
bin_name   = $(if $(filter mkfs fsck,$1),$1.lcpfs,$(if $(filter lcpfs,$1),lcpfs,lcpfs-$1))
BINS      := $(foreach v,$(VERBS) $(if $(wildcard cmd/lcpfs/*.c),lcpfs),$B/bin/$(call bin_name,$v))
UNIT_SRC  := $(sort $(wildcard tests/unit/test_*.c))
UNIT_BIN  := $(UNIT_SRC:tests/unit/%.c=$B/tests/%)
EXAMPLES  := $(patsubst examples/%.c,$B/examples/%,$(sort $(wildcard examples/*.c)))

Q         := $(if $(V),,@)
say        = $(if $(V),,@echo '  $1 $@')

.PHONY: all deps deps-test check unit-check fuzz-check bats-check examples-check demo install uninstall dist lint fuzz stress bench clean help
all: $B/liblcpfs.a $B/liblcpfs.so $(BINS) $B/lcpfs.pc
.DELETE_ON_ERROR:
.SECONDARY:

$B/%.o: %.c Makefile
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_) $(PKG_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/liblcpfs.a: $(LIB_OBJ)
	@rm -f $@
	$(call say,AR)
	$(Q)$(AR) rcsD $@ $^

$B/liblcpfs.so.$(VERSION): $(LIB_OBJ) lib/liblcpfs.map
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS_) $(LDFLAGS) -shared -Wl,-soname,liblcpfs.so.$(SOVERSION) -Wl,--version-script=lib/liblcpfs.map -o $@ $(LIB_OBJ) $(PKG_LIBS)

$B/liblcpfs.so: $B/liblcpfs.so.$(VERSION)
	@ln -sf liblcpfs.so.$(VERSION) $B/liblcpfs.so.$(SOVERSION)
	@ln -sf liblcpfs.so.$(VERSION) $@

# one rule per command: $(1) = folder of cmd/
define COMMAND
$B/bin/$(call bin_name,$1): $(patsubst %.c,$B/%.o,$(sort $(wildcard cmd/$1/*.c))) $(COMMON_O) $B/liblcpfs.a
	@mkdir -p $$(@D)
	$$(call say,LD)
	$$(Q)$$(CC) $$(LDFLAGS_) $$(LDFLAGS) -o $$@ $$^ $$(PKG_LIBS)
endef
$(foreach v,$(VERBS) lcpfs,$(eval $(call COMMAND,$v)))

$B/tests/%: $B/tests/unit/%.o $B/tests/unit/tap.o $B/liblcpfs.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS_) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

FUZZERS   := $(patsubst tests/fuzz/fuzz_%.c,%,$(sort $(wildcard tests/fuzz/fuzz_*.c)))
FUZZ_BIN  := $(FUZZERS:%=$B/fuzz/fuzz_%)
$B/fuzz/fuzz_words: $(COMMON_O)
$B/fuzz/fuzz_batch: $(COMMON_O) $(patsubst %.c,$B/%.o,$(filter-out cmd/batch/batch.c,$(sort $(wildcard cmd/batch/*.c))))
$B/fuzz/fuzz_%: $B/tests/fuzz/fuzz_%.o $B/tests/fuzz/driver.o $B/liblcpfs.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS_) $(LDFLAGS) -o $@ $(filter %.o,$^) $B/liblcpfs.a $(PKG_LIBS)
$B/fuzz/seeds: $B/tests/fuzz/seeds.o $B/liblcpfs.a
	@mkdir -p $(@D)
	$(call say,LD)
	$(Q)$(CC) $(LDFLAGS_) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

$B/examples/%: examples/%.c $B/liblcpfs.a
	@mkdir -p $(@D)
	$(call say,CC)
	$(Q)$(CC) $(CFLAGS_) $(LDFLAGS_) $(LDFLAGS) -o $@ $< $B/liblcpfs.a $(PKG_LIBS)

$B/lcpfs.pc: lcpfs.pc.in Makefile
	@mkdir -p $(@D)
	@sed 's|@PREFIX@|$(PREFIX)|; s|@VERSION@|$(VERSION)|; s|@PKGS@|$(PKGS)|' $< > $@

# what the build and the tests need, from the distribution's packages
deps:
	@tools/install-deps build
deps-test:
	@tools/install-deps build test

# T=name selects the unit tests and bats files whose names contain it
check: deps-test
	@$(MAKE) --no-print-directory -j$(shell nproc) O=$B SAN=$(SAN) all $(UNIT_BIN) $(EXAMPLES)
	@$(MAKE) --no-print-directory O=$B SAN=$(SAN) T=$(T) unit-check
	@$(MAKE) --no-print-directory O=$B SAN=$(SAN) T=$(T) fuzz-check
	@$(MAKE) --no-print-directory O=$B SAN=$(SAN) T=$(T) examples-check
	@$(MAKE) --no-print-directory O=$B SAN=$(SAN) T=$(T) bats-check
unit-check: $(UNIT_BIN)
	@tests/tools/run-unit $(if $(T),$(foreach t,$(UNIT_BIN),$(if $(findstring $(T),$(notdir $t)),$t)),$(UNIT_BIN))
# the fuzz targets without a fuzzer: what they begin with, and a few changes of each
fuzz-check: $(FUZZ_BIN) $B/fuzz/seeds
	@tests/tools/run-corpus $B/fuzz $(if $(T),$(foreach f,$(FUZZERS),$(if $(findstring $(T),fuzz_$f),$f)),$(FUZZERS))
examples-check: $(EXAMPLES)
	@for e in $(EXAMPLES); do $$e >/dev/null && echo "ok example $${e##*/}" || exit 1; done
bats-check: all
	@LCPFS_BIN=$(abspath $B/bin) tests/tools/run-bats $(T)

# the main job on a real tree of this machine
demo: deps
	@$(MAKE) --no-print-directory -j$(shell nproc) all
	@PATH="$(abspath $B/bin):$$PATH" tools/demo

MAN       := $(sort $(wildcard man/*.[1-8]))
man_dir    = $(DESTDIR)$(PREFIX)/share/man/man$(subst .,,$(suffix $1))/$(notdir $1)
COMP_DIRS := bash:share/bash-completion/completions zsh:share/zsh/site-functions fish:share/fish/vendor_completions.d
install: all
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/lib/pkgconfig $(DESTDIR)$(PREFIX)/include/lcpfs
	install -m 755 $(BINS) $(DESTDIR)$(PREFIX)/bin
	install -m 644 $B/liblcpfs.a $(DESTDIR)$(PREFIX)/lib
	install -m 755 $B/liblcpfs.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib
	ln -sf liblcpfs.so.$(VERSION) $(DESTDIR)$(PREFIX)/lib/liblcpfs.so.$(SOVERSION)
	ln -sf liblcpfs.so.$(SOVERSION) $(DESTDIR)$(PREFIX)/lib/liblcpfs.so
	install -m 644 $B/lcpfs.pc $(DESTDIR)$(PREFIX)/lib/pkgconfig
	install -m 644 include/lcpfs/*.h $(DESTDIR)$(PREFIX)/include/lcpfs
	$(foreach m,$(MAN),install -D -m 644 $m $(call man_dir,$m);)
	tools/completions $(DESTDIR)$(PREFIX)/share
uninstall:
	rm -f $(BINS:$B/bin/%=$(DESTDIR)$(PREFIX)/bin/%) $(DESTDIR)$(PREFIX)/lib/liblcpfs.* $(DESTDIR)$(PREFIX)/lib/pkgconfig/lcpfs.pc
	rm -rf $(DESTDIR)$(PREFIX)/include/lcpfs
	rm -f $(foreach m,$(MAN),$(call man_dir,$m))
	tools/completions --remove $(DESTDIR)$(PREFIX)/share

dist:
	git archive --format=tar.gz --prefix=lcpfs-$(VERSION)/ -o lcpfs-$(VERSION).tar.gz HEAD
lint: all
	@tools/lint $B

# long runs: not part of check
FUZZ_SECS ?= 600
fuzz:
	@FUZZ_SECS=$(FUZZ_SECS) FUZZERS="$(or $(T),$(FUZZERS))" PKG_CFLAGS="$(PKG_CFLAGS)" PKG_LIBS="$(PKG_LIBS)" tests/tools/run-fuzz
stress: all
	@PATH="$(abspath $B/bin):$$PATH" B=$B tests/tools/run-stress $(T)
bench: all
	@PATH="$(abspath $B/bin):$$PATH" B="$(abspath $B)" bench/run

clean:
	rm -rf build build-*

help:
	@echo "make             build the library and the commands in build/"
	@echo "make demo        install what is missing, build, run the main job on a real tree"
	@echo "make check       install what the tests need, run them   (T=name selects, SAN=address,undefined)"
	@echo "make install     PREFIX=/usr/local DESTDIR=              and make uninstall"
	@echo "make lint | dist | fuzz | stress | bench"

-include $(shell find $B -name '*.d' 2>/dev/null)
