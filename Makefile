# mae.c: `make` leaves build/mae, build/libmae.a and build/libmae.so. Objects, tests and examples go
# to build/<config>/, where config is "release" or the value of SAN, as in
# `make check SAN=address,undefined`; the command and libraries of a SAN build stay in its folder.
#
# MPI=1 builds the program that mpirun and srun start: two files more are compiled and all is linked by
# $(MPICC); every other object is the same. BIN=DIR puts the command and libraries elsewhere.
#
# Every src/**/*.c, cli/*.c, tests/{unit,golden,device}/*.c and examples/*.c is picked up by itself.
# Two folders are compiled more than once:
#   src/kernels/ref/*.c        for float, double, and bf16 with float (-DREF_NAME=ref, ref64, refbf16)
#   src/kernels/cpu/*_simd.c   for each instruction set (-DISA=plain, avx2, avx512)

VERSION   := $(shell sed -n 's/^.define MAE_VERSION "\(.*\)"/\1/p' include/mae.h)
SOVERSION := 0
PREFIX    ?= /usr/local
DESTDIR   ?=
CC        ?= cc
CFLAGS    ?= -O2 -g
OPENMP    ?= -fopenmp
SAN       ?=
MPI       ?=
MPICC     ?= mpicc

CONFIG := $(or $(SAN),release)
DIR    := build/$(CONFIG)
BIN    ?= $(if $(SAN),$(DIR),build)
MAE    := $(BIN)/mae

# --- Libraries and flags ----------------------------------------------------------------------------

PACKAGES := libjpeg libpng libwebp libarchive jansson lapack zlib
PKG_CONFIG      ?= pkg-config

ifneq ($(filter-out clean uninstall help,$(or $(MAKECMDGOALS),all)),)
  MISSING := $(strip $(foreach p,$(PACKAGES),\
                 $(shell $(PKG_CONFIG) --exists $(p) || echo $(p))))
  ifneq ($(MISSING),)
    $(error pkg-config does not find: $(MISSING); install the development packages (see README.md))
  endif
endif

LIB_CFLAGS    := $(shell $(PKG_CONFIG) --cflags $(PACKAGES) 2>/dev/null)
LIBS          := $(shell $(PKG_CONFIG) --libs $(PACKAGES) 2>/dev/null) -lm -lpthread
CHECK_CFLAGS  := $(shell $(PKG_CONFIG) --cflags check 2>/dev/null)
CHECK_LIBS    := $(shell $(PKG_CONFIG) --libs check 2>/dev/null)

WARNINGS  := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
             -Wfloat-conversion
SAN_FLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
ALL_FLAGS  = -std=c11 $(CFLAGS) $(OPENMP) -D_GNU_SOURCE $(WARNINGS) $(SAN_FLAGS) -fPIC \
             -fno-semantic-interposition -MMD -MP
COMPILE    = $(CC) $(ALL_FLAGS)
LINK       = $(if $(MPI),$(MPICC),$(CC)) $(CFLAGS) $(OPENMP) $(SAN_FLAGS) $(LDFLAGS)

INSIDE  := -Isrc -Iinclude $(LIB_CFLAGS)
OUTSIDE := -Iinclude

REFS        := ref ref64 refbf16
REF_ref     := -DWIDE=float
REF_ref64   := -DWIDE=double
REF_refbf16 := -DWIDE=float -DREF_BF16
# Of tests (tests/device/narrow.h): rounding that is wrong, and rounding at random.
REF_refcut   := $(REF_refbf16) -Df32_to_bf16=f32_cut_to_bf16
REF_refdrawn := $(REF_refbf16) -Df32_to_bf16=f32_drawn_to_bf16

SIMD_FLAGS := -O3 -ffp-contract=fast -fno-math-errno -fno-trapping-math
ISA_plain  :=
ISA_avx2   := -mavx2 -mfma -mf16c
ISA_avx512 := -mavx512f -mavx512dq -mavx512bw -mavx512vl -mavx2 -mfma -mf16c \
              -mprefer-vector-width=512
ISAS       := plain $(if $(filter x86_64-%,$(shell $(CC) -dumpmachine)),avx2 avx512)

# --- What there is to build -------------------------------------------------------------------------

SOURCES  := $(filter-out src/dist/%_$(if $(MPI),none,mpi).c,\
              $(sort $(shell find src -name '*.c' 2>/dev/null)))
REF_SRC  := $(filter src/kernels/ref/%,$(SOURCES))
SIMD_SRC := $(filter src/kernels/cpu/%_simd.c,$(SOURCES))
ONCE_SRC := $(filter-out $(REF_SRC) $(SIMD_SRC),$(SOURCES))

OBJECTS := $(ONCE_SRC:%.c=$(DIR)/%.o) \
           $(foreach ref,$(REFS),$(REF_SRC:%.c=$(DIR)/%.$(ref).o)) \
           $(foreach isa,$(ISAS),$(SIMD_SRC:%.c=$(DIR)/%.$(isa).o))

CLI_OBJ    := $(patsubst %.c,$(DIR)/%.o,$(sort $(wildcard cli/*.c)))
NARROW_OBJ := $(foreach ref,refcut refdrawn,$(REF_SRC:%.c=$(DIR)/%.$(ref).o))
UNIT_OBJ   := $(patsubst %.c,$(DIR)/%.o,$(sort $(wildcard tests/unit/*.c))) $(NARROW_OBJ)
GOLDEN_OBJ := $(patsubst %.c,$(DIR)/%.o,$(sort $(wildcard tests/golden/*.c))) $(NARROW_OBJ)
DEVICE_OBJ := $(patsubst %.c,$(DIR)/%.o,$(sort $(wildcard tests/device/*.c)))
EXAMPLES   := $(patsubst %.c,$(DIR)/%,$(sort $(wildcard examples/*.c)))
SUITE      ?=
CLI_TESTS  := $(if $(SUITE),tests/cli/$(SUITE).sh,$(sort $(wildcard tests/cli/*.sh)))
CLI_RUNS   := $(CLI_TESTS:%=run/%)
ALL_OBJ    := $(OBJECTS) $(CLI_OBJ) $(UNIT_OBJ) $(GOLDEN_OBJ) $(DEVICE_OBJ) $(EXAMPLES:=.o)

# What `make help` prints:
#: make                 build/mae, build/libmae.a, build/libmae.so, the examples
#: make check           units, golden numbers and the command line; check-unit, check-golden, check-cli are its parts
#: make check-unit SUITE=watch         only tests/unit/test_watch.c; check-cli SUITE=stop: only tests/cli/stop.sh
#: make check-golden MAE_GOLDEN=DIR    compare with other golden files
#: make check-style     layers, exported names, forbidden calls, layout
#: make check-mpi MPI=1 BIN=build/mpi  several processes; wants mpicc and mpirun
#: make bench           the speed table; BENCH_DATA=SRC adds the loader
#: make format          lay out every C file
#: make install         PREFIX=/usr/local, DESTDIR=, LIBDIR=, MANDIR=; make uninstall takes the same
#: make clean           remove build/
#: SAN=address,undefined builds and checks with sanitizers, MPI=1 for several processes, CC=, CFLAGS= as usual.
help:
	@sed -n 's/^#: //p' Makefile

.DEFAULT_GOAL := all
.PHONY: $(CLI_RUNS) run/unit-1 run/unit-2 run/unit-deferred run/unit-suite all check check-unit check-golden \
        check-cli check-mpi check-style format bench install uninstall clean help force
.DELETE_ON_ERROR:
.SECONDARY:

all: $(if $(CLI_OBJ),$(MAE)) $(BIN)/libmae.a $(BIN)/libmae.so $(EXAMPLES)

# --- Objects ----------------------------------------------------------------------------------------

# Changes only when the flags do, so that another compiler or option rebuilds everything.
$(DIR)/flags: force
	@mkdir -p $(@D)
	@echo '$(COMPILE) $(INSIDE)' | cmp -s - $@ || echo '$(COMPILE) $(INSIDE)' > $@

$(ALL_OBJ): $(DIR)/flags

# What is linked changes with MPI alone.
$(DIR)/linked: force
	@mkdir -p $(@D) $(BIN)
	@echo '$(DIR) $(LINK)' | cmp -s - $@ || echo '$(DIR) $(LINK)' > $@

LINKED := $(DIR)/libmae.o $(BIN)/libmae.a $(BIN)/libmae.so $(MAE) $(EXAMPLES) $(DIR)/unit_tests \
          $(DIR)/golden
$(LINKED): $(DIR)/linked

# Their compilers are asked for flags by their names.
$(DIR)/src/dist/%_mpi.o: src/dist/%_mpi.c $(DIR)/linked
	@mkdir -p $(@D)
	OMPI_CC='$(CC)' MPICH_CC='$(CC)' $(MPICC) $(ALL_FLAGS) $(INSIDE) -c $< -o $@

$(DIR)/src/%.o: src/%.c
	@mkdir -p $(@D)
	$(COMPILE) $(INSIDE) -c $< -o $@

define ref_rule
$(DIR)/src/kernels/ref/%.$(1).o: src/kernels/ref/%.c
	@mkdir -p $$(@D)
	$$(COMPILE) $$(INSIDE) -DREF_NAME=$(1) $$(REF_$(1)) -c $$< -o $$@
endef
$(foreach ref,$(REFS) refcut refdrawn,$(eval $(call ref_rule,$(ref))))

define isa_rule
$(DIR)/src/kernels/cpu/%_simd.$(1).o: src/kernels/cpu/%_simd.c
	@mkdir -p $$(@D)
	$$(COMPILE) $$(INSIDE) -DISA=$(1) $$(SIMD_FLAGS) $$(ISA_$(1)) -c $$< -o $$@
endef
$(foreach isa,$(ISAS),$(eval $(call isa_rule,$(isa))))

$(DIR)/cli/%.o: cli/%.c
	@mkdir -p $(@D)
	$(COMPILE) $(OUTSIDE) $(LIB_CFLAGS) -c $< -o $@

$(DIR)/tests/unit/%.o: tests/unit/%.c
	@mkdir -p $(@D)
	$(COMPILE) $(INSIDE) -Itests/device $(CHECK_CFLAGS) -c $< -o $@

$(DIR)/tests/golden/%.o: tests/golden/%.c
	@mkdir -p $(@D)
	$(COMPILE) $(INSIDE) -Itests/device -c $< -o $@

$(DIR)/tests/device/%.o: tests/device/%.c $(DIR)/tests/device/deferred_rows.h
	$(COMPILE) $(INSIDE) -I$(DIR)/tests/device -c $< -o $@

$(DIR)/tests/device/deferred_rows.h: tests/device/deferred_rows.awk src/kernels/device.h src/kernels/kernels.h
	@mkdir -p $(@D)
	awk -f $^ > $@

$(DIR)/examples/%.o: examples/%.c
	@mkdir -p $(@D)
	$(COMPILE) $(OUTSIDE) -c $< -o $@

# --- Libraries, command, examples -------------------------------------------------------------------

# The static library is one object in which everything but mae_* is local: what links against it
# cannot collide with, or lean on, the inside.
$(DIR)/libmae.o: $(OBJECTS)
	$(LD) -r -o $@.all $(OBJECTS)
	$(OBJCOPY) --wildcard --keep-global-symbol='mae_*' $@.all $@
	@rm -f $@.all

OBJCOPY ?= objcopy

$(BIN)/libmae.a: $(DIR)/libmae.o
	@rm -f $@
	$(AR) rcs $@ $<

$(BIN)/libmae.so: $(OBJECTS) tools/libmae.map
	$(LINK) -shared -Wl,-soname,libmae.so.$(SOVERSION) -Wl,--version-script=tools/libmae.map \
	    -o $@ $(OBJECTS) $(LIBS)
	@ln -sf libmae.so $@.$(SOVERSION)

$(MAE): $(CLI_OBJ) $(BIN)/libmae.a
	$(LINK) -o $@ $(filter-out %/linked,$^) $(LIBS)

$(DIR)/examples/%: $(DIR)/examples/%.o $(BIN)/libmae.a
	$(LINK) -o $@ $(filter-out %/linked,$^) $(LIBS)

# --- Tests ------------------------------------------------------------------------------------------

# A machine that fails, to preload. Never instrumented itself.
$(DIR)/faults.so: tests/faults/faults.c $(DIR)/flags
	$(CC) -std=c11 $(CFLAGS) -D_GNU_SOURCE $(WARNINGS) -fPIC -shared \
	    $(if $(SAN),-DFAULTS_UNDER_SANITIZER) -o $@ $< -ldl

# Tests look inside, so they link the objects. Their device_open knows one device more.
$(DIR)/unit_tests: $(UNIT_OBJ) $(DEVICE_OBJ) $(OBJECTS)
	$(LINK) -Wl,--wrap=device_open -o $@ $(filter-out %/linked,$^) $(CHECK_LIBS) $(LIBS)

$(DIR)/golden: $(GOLDEN_OBJ) $(DEVICE_OBJ) $(OBJECTS)
	$(LINK) -Wl,--wrap=device_open -o $@ $(filter-out %/linked,$^) $(LIBS)

MAE_GOLDEN ?= tests/golden/data

check: check-unit check-golden check-cli

# In two halves, which may run side by side (make -j), or one suite. What runs graphs runs once more
# on the device of tests/device/deferred.h.
check-unit: $(if $(SUITE),run/unit-suite,run/unit-1 run/unit-2 run/unit-deferred)

run/unit-1 run/unit-2: run/unit-%: $(DIR)/unit_tests
	$< $*/2

run/unit-deferred: $(DIR)/unit_tests
	TEST_DEVICE=deferred $< graph graph_frozen step supervised nonfinite features checkpoint_writer

run/unit-suite: $(DIR)/unit_tests
	$< $(SUITE)

check-golden: $(DIR)/golden
	$(DIR)/golden '$(MAE_GOLDEN)'

# A script gets the command as $$MAE, the examples' folder as $$EXAMPLES, the library to preload as
# $$FAULTS_SO; it ends with its own line `cli: N passed, M failed, K skipped`.
# Scripts may run side by side (make -j).
check-cli: $(CLI_RUNS)

$(CLI_RUNS): run/%: all $(DIR)/faults.so
	@MAE='$(CURDIR)/$(MAE)' EXAMPLES='$(CURDIR)/$(DIR)/examples' \
	    FAULTS_SO='$(CURDIR)/$(DIR)/faults.so' sh $*

# Wants MPI=1 and an mpirun.
check-mpi: $(MAE) $(DIR)/faults.so
	status=0; \
	FAULTS_SO='$(CURDIR)/$(DIR)/faults.so' sh tests/mpi/run.sh '$(CURDIR)/$(MAE)' || status=1; \
	sh tests/mpi/peers.sh '$(CURDIR)/$(MAE)' || status=1; \
	exit $$status

check-style: $(BIN)/libmae.so
	sh tools/check_style.sh $(BIN)/libmae.so

# Lays out every C file as .clang-format says.
format:
	find src cli include examples tests bench -name '*.[ch]' -exec clang-format -i {} +

# The table of SPEED.md, but for the rows that need another program (bench/peers.sh).
BENCH_DATA ?=

bench: $(MAE)
	sh bench/speed.sh $(if $(BENCH_DATA),--data '$(BENCH_DATA)') $(MAE)

# --- Installation -----------------------------------------------------------------------------------

LIBDIR   ?= $(PREFIX)/lib
MANDIR   ?= $(PREFIX)/share/man
BASHDIR  ?= $(PREFIX)/share/bash-completion/completions
ZSHDIR   ?= $(PREFIX)/share/zsh/site-functions
FISHDIR  ?= $(PREFIX)/share/fish/vendor_completions.d
CMAKEDIR  = $(LIBDIR)/cmake/mae
SHARE    := $(DIR)/share
# What links libmae.a also links what mpicc would; Open MPI and MPICH both tell by -show.
comma    := ,
MPI_LIBS  = $(if $(MPI),$(filter -L% -l% -pthread -Wl$(comma)%,$(shell $(MPICC) -show)))
# The commands of mae, as its help lists them.
COMMANDS_OF = --help | sed -n 's/^  \([a-z]*\)  .*/\1/p'

# What the places decide. The libraries stand there by name: Requires.private would also ask for those
# that they need in turn, which only a program without shared libraries links.
$(SHARE)/mae.pc: force
	@mkdir -p $(@D)
	@{ echo 'prefix=$(PREFIX)'; echo 'libdir=$(LIBDIR)'; echo 'includedir=$${prefix}/include'; \
	   echo; echo 'Name: mae'; echo 'Description: masked autoencoders for images'; \
	   echo 'Version: $(VERSION)'; \
	   echo 'Libs: -L$${libdir} -lmae'; \
	   echo 'Libs.private: $(strip $(OPENMP) $(MPI_LIBS) $(LIBS))'; \
	   echo 'Cflags: -I$${includedir}'; } > $@

$(SHARE)/mae-config.cmake: force
	@mkdir -p $(@D)
	@{ echo 'if(NOT TARGET mae::mae)'; \
	   echo '  add_library(mae::mae SHARED IMPORTED)'; \
	   echo '  set_target_properties(mae::mae PROPERTIES'; \
	   echo '    IMPORTED_LOCATION "$(LIBDIR)/libmae.so.$(VERSION)"'; \
	   echo '    IMPORTED_SONAME libmae.so.$(SOVERSION)'; \
	   echo '    INTERFACE_INCLUDE_DIRECTORIES "$(PREFIX)/include")'; \
	   echo 'endif()'; } > $@

# Before 1.0 another second number may be another interface.
$(SHARE)/mae-config-version.cmake: force
	@mkdir -p $(@D)
	@{ echo 'set(PACKAGE_VERSION $(VERSION))'; \
	   echo 'if(PACKAGE_VERSION VERSION_GREATER_EQUAL PACKAGE_FIND_VERSION AND'; \
	   echo '   "$(basename $(VERSION))" STREQUAL'; \
	   echo '   "$${PACKAGE_FIND_VERSION_MAJOR}.$${PACKAGE_FIND_VERSION_MINOR}")'; \
	   echo '  set(PACKAGE_VERSION_COMPATIBLE TRUE)'; \
	   echo 'endif()'; \
	   echo 'if(PACKAGE_VERSION VERSION_EQUAL PACKAGE_FIND_VERSION)'; \
	   echo '  set(PACKAGE_VERSION_EXACT TRUE)'; \
	   echo 'endif()'; } > $@

# Manual pages and completions, which the command writes itself.
$(SHARE)/mae.1: $(MAE)
	@mkdir -p $(@D)
	@set -e; cd $(@D); rm -f mae-*.1; \
	for shell in bash zsh fish; do '$(CURDIR)/$(MAE)' completion $$shell > $$shell; done; \
	for c in $$('$(CURDIR)/$(MAE)' $(COMMANDS_OF)); do '$(CURDIR)/$(MAE)' man $$c > mae-$$c.1; done; \
	'$(CURDIR)/$(MAE)' man > mae.1

install: all $(addprefix $(SHARE)/,mae.pc mae-config.cmake mae-config-version.cmake mae.1)
	install -d $(foreach d,$(PREFIX)/bin $(PREFIX)/include $(LIBDIR)/pkgconfig $(CMAKEDIR) $(MANDIR)/man1 \
	    $(BASHDIR) $(ZSHDIR) $(FISHDIR),'$(DESTDIR)$(d)')
	install -m 755 $(MAE) '$(DESTDIR)$(PREFIX)/bin/mae'
	install -m 644 include/mae.h '$(DESTDIR)$(PREFIX)/include/mae.h'
	install -m 644 $(BIN)/libmae.a '$(DESTDIR)$(LIBDIR)/libmae.a'
	install -m 755 $(BIN)/libmae.so '$(DESTDIR)$(LIBDIR)/libmae.so.$(VERSION)'
	ln -sf libmae.so.$(VERSION) '$(DESTDIR)$(LIBDIR)/libmae.so.$(SOVERSION)'
	ln -sf libmae.so.$(SOVERSION) '$(DESTDIR)$(LIBDIR)/libmae.so'
	install -m 644 $(SHARE)/mae.pc '$(DESTDIR)$(LIBDIR)/pkgconfig/mae.pc'
	install -m 644 $(SHARE)/mae-config.cmake $(SHARE)/mae-config-version.cmake '$(DESTDIR)$(CMAKEDIR)'
	install -m 644 $(SHARE)/*.1 '$(DESTDIR)$(MANDIR)/man1'
	install -m 644 $(SHARE)/bash '$(DESTDIR)$(BASHDIR)/mae'
	install -m 644 $(SHARE)/zsh '$(DESTDIR)$(ZSHDIR)/_mae'
	install -m 644 $(SHARE)/fish '$(DESTDIR)$(FISHDIR)/mae.fish'

# The command that is there knows which pages came with it.
uninstall:
	for c in $$('$(DESTDIR)$(PREFIX)/bin/mae' $(COMMANDS_OF)); do \
	    rm -f '$(DESTDIR)$(MANDIR)/man1/mae-'$$c.1; done
	rm -f '$(DESTDIR)$(PREFIX)/bin/mae' '$(DESTDIR)$(PREFIX)/include/mae.h' \
	    '$(DESTDIR)$(LIBDIR)/libmae.a' $(foreach v,so so.$(SOVERSION) so.$(VERSION),'$(DESTDIR)$(LIBDIR)/libmae.$(v)') \
	    '$(DESTDIR)$(LIBDIR)/pkgconfig/mae.pc' '$(DESTDIR)$(MANDIR)/man1/mae.1' \
	    '$(DESTDIR)$(BASHDIR)/mae' '$(DESTDIR)$(ZSHDIR)/_mae' '$(DESTDIR)$(FISHDIR)/mae.fish'
	rm -f '$(DESTDIR)$(CMAKEDIR)/mae-config.cmake' '$(DESTDIR)$(CMAKEDIR)/mae-config-version.cmake'
	-rmdir '$(DESTDIR)$(CMAKEDIR)'

clean:
	rm -rf build

-include $(ALL_OBJ:.o=.d)
