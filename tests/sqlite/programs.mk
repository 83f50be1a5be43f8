# SQLite's own test programs, each twice: NAME-stock, and NAME-epio, whose default VFS is
# epio's. Run in SQLite's configured build directory by ci/sqlite-tests, which says
#   EPIO       the root of this tree
#   EPIO_LIB   the directory of libepio.a and libepio-sqlite.a
#   EPIO_LIBS  what these need
# What the programs are compiled from, and by which flags, SQLite's makefile says.
include Makefile

sources_testfixture = $(TESTSRC) $(TOP)/src/tclsqlite.c sqlite3.c
sources_plain = $(TOP)/mptest/mptest.c $(TOP)/test/threadtest3.c $(TOP)/test/speedtest1.c
vpath %.c $(sort $(dir $(sources_testfixture) $(sources_plain)))

# sqlite3_initialize calls this function last, when SQLite's own VFSes are registered.
hook = -DSQLITE_EXTRA_INIT=epio_sqlite_tests_init

.PHONY: programs
programs: $(foreach name,testfixture mptester threadtest3,$(name)-stock $(name)-epio) \
	threadtest3quick-epio

objects/testfixture/%.o: %.c
	@mkdir -p $(@D)
	$(TCC) -O1 -w -DSQLITE_NO_SYNC=1 $(TEMP_STORE) $(TESTFIXTURE_FLAGS) $(hook) -c -o $@ $<

objects/plain/%.o: %.c
	@mkdir -p $(@D)
	$(TCC) -I$(TOP)/test -w $(ST_OPT) $(hook) -c -o $@ $<

# The same tests for a tenth of the time.
threadtest3quick.c: $(TOP)/test/threadtest3.c
	sed 's/^\( *{.*", *[0-9]*\)0 },$$/\1 },/; s/, *},$$/, 0 },/' $< >$@

objects/glue/%.o: $(EPIO)/tests/sqlite/%.c $(EPIO)/tests/sqlite/glue.h
	@mkdir -p $(@D)
	$(TCC) -Wall -Wextra -Werror -I$(EPIO)/include -c -o $@ $<

# Make would remove them after linking.
.SECONDARY:

link = $(CC) -o $@ $(filter %.o,$^) $(libs_$*) $(TLIBS)
plain = $(patsubst %,objects/plain/%.o,sqlite3 $(1))

testfixture-%: objects/glue/%.o $(patsubst %.c,objects/testfixture/%.o,$(notdir $(sources_testfixture)))
	$(link) $(LIBTCL)

mptester-%: objects/glue/%.o $(call plain,mptest)
	$(link)

threadtest3-%: objects/glue/%.o $(call plain,threadtest3 test_multiplex)
	$(link)

threadtest3quick-%: objects/glue/%.o $(call plain,threadtest3quick test_multiplex)
	$(link)

speedtest1-%: objects/glue/%.o $(call plain,speedtest1)
	$(link)

libraries = $(EPIO_LIB)/libepio-sqlite.a $(EPIO_LIB)/libepio.a
libs_epio = $(libraries) $(EPIO_LIBS)
testfixture-epio: objects/glue/hooks.o $(libraries)
mptester-epio threadtest3-epio threadtest3quick-epio speedtest1-epio: objects/glue/plain.o $(libraries)
