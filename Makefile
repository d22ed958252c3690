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
             -fvisibility=hidden -fPIC -pthread $(WARN) $(OPT) $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
LDFLAGS_  := -pthread $(if $(SAN),-fsanitize=$(SAN))
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

.PHONY: all check unit-check bats-check clean help
all: $B/liblcpfs.a $B/liblcpfs.so $(BINS)
.DELETE_ON_ERROR:
.SECONDARY:

$B/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_) $(PKG_CFLAGS) $(CFLAGS) -MMD -MP -c -o $@ $<

$B/liblcpfs.a: $(LIB_OBJ)
	@rm -f $@
	$(AR) rcsD $@ $^

$B/liblcpfs.so.$(VERSION): $(LIB_OBJ) lib/liblcpfs.map
	$(CC) $(LDFLAGS_) $(LDFLAGS) -shared -Wl,-soname,liblcpfs.so.$(SOVERSION) -Wl,--version-script=lib/liblcpfs.map -o $@ $(LIB_OBJ) $(PKG_LIBS)

$B/liblcpfs.so: $B/liblcpfs.so.$(VERSION)
	ln -sf liblcpfs.so.$(VERSION) $B/liblcpfs.so.$(SOVERSION)
	ln -sf liblcpfs.so.$(VERSION) $@

# one rule per command: $(1) = folder of cmd/
define COMMAND
$B/bin/$(call bin_name,$1): $(patsubst %.c,$B/%.o,$(sort $(wildcard cmd/$1/*.c))) $(COMMON_O) $B/liblcpfs.a
	@mkdir -p $$(@D)
	$$(CC) $$(LDFLAGS_) $$(LDFLAGS) -o $$@ $$^ $$(PKG_LIBS)
endef
$(foreach v,$(VERBS) lcpfs,$(eval $(call COMMAND,$v)))

$B/tests/%: $B/tests/unit/%.o $B/tests/unit/tap.o $B/liblcpfs.a
	@mkdir -p $(@D)
	$(CC) $(LDFLAGS_) $(LDFLAGS) -o $@ $^ $(PKG_LIBS)

$B/examples/%: examples/%.c $B/liblcpfs.a
	@mkdir -p $(@D)
	$(CC) $(CFLAGS_) $(LDFLAGS_) $(LDFLAGS) -o $@ $< $B/liblcpfs.a $(PKG_LIBS)

# T=name selects unit tests and bats files whose name contains it
check: unit-check bats-check
unit-check: $(UNIT_BIN)
	@tests/tools/run-unit $(foreach t,$(UNIT_BIN),$(if $(findstring $(T),$t),$t))
bats-check: all
	@LCPFS_BIN=$(abspath $B/bin) tests/tools/run-bats $(T)

clean:
	rm -rf build build-*

help:
	@echo "make            build the library and the commands in build/"
	@echo "make check      install what the tests need, run them   (T=name selects)"
	@echo "make SAN=address,undefined check"
	@echo "make install PREFIX=/usr/local DESTDIR="

-include $(shell find $B -name '*.d' 2>/dev/null)
