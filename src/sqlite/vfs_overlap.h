/* Delayed writes and reads ahead of SQLite's files, inside: what EPIO_SQLITE_OVERLAP turns on. Who
 * owns what: vfs_overlap.c when what is written and forgotten; vfs_delayed.c the delayed writes of
 * a file; vfs_ahead.c the bytes read ahead; vfs_together.c writes in flight together. */
#ifndef EPIO_SQLITE_VFS_OVERLAP_H
#define EPIO_SQLITE_VFS_OVERLAP_H

#include "sqlite/vfs.h"

typedef struct epio__sqlite_overlap epio__sqlite_overlap;

/* A delayed write, or several that follow one another in the file. */
typedef struct epio__sqlite_extent {
    sqlite3_int64 offset;
    int len;
    int at; /* in the bytes below */
} epio__sqlite_extent;

typedef struct epio__sqlite_delayed {
    unsigned char *bytes;
    int used;
    int size;
    epio__sqlite_extent *extents; /* in the order of their offsets; none overlap */
    int count;
    int room;
    int together; /* how often several will be in flight together, since writes are slow */
} epio__sqlite_delayed;

typedef struct epio__sqlite_ahead {
    unsigned char *bytes;
    int size;
    sqlite3_int64 offset;
    int len;            /* 0: none are valid */
    sqlite3_int64 next; /* where the last read ended */
    int run;            /* reads that each began where the one before had ended */
} epio__sqlite_ahead;

typedef enum epio__sqlite_part {
    EPIO__SQLITE_DATABASE,
    EPIO__SQLITE_JOURNAL,
    EPIO__SQLITE_LOG,
    EPIO__SQLITE_TEMPORARY, /* no other connection sees it */
    EPIO__SQLITE_PARTS
} epio__sqlite_part;

struct epio__sqlite_overlap {
    epio__sqlite_overlap *next; /* of the registration's open databases */
    epio__sqlite_file *file;
    const sqlite3_io_methods *methods; /* that do what is asked for at once */
    epio__sqlite_part part;
    epio__sqlite_overlap *database; /* of a journal or a log */
    epio__sqlite_overlap *journal;  /* of a database; NULL: it is not open */
    epio__sqlite_overlap *log;
    epio__sqlite_delayed delayed;
    epio__sqlite_ahead ahead;

    /* Of a database. */
    bool is_writer;      /* its connection has the lock of those who write to the log */
    bool borrows_lock;   /* it has that lock for a checkpoint, and SQLite does not know */
    bool has_checkpoint; /* a checkpoint is in progress whose errors are seen even at its end */

    /* Of a log. */
    sqlite3_int64 written_to; /* how far this connection has written since it may */
    bool commits;             /* the last frame's header is a commit's */
};

/* ---- vfs_overlap.c ---- */

/* What a registration has for all its files. */
void epio__sqlite_overlap_register(epio__sqlite_vfs *vfs);
void epio__sqlite_overlap_unregister(epio__sqlite_vfs *vfs);

/* ---- vfs_delayed.c ---- */

/* Takes a copy of the bytes: false if there is no room, or part of them is delayed already: write
 * what is delayed, and try again. A failure after that: no memory, or too long a write. */
bool epio__sqlite_delay(epio__sqlite_overlap *overlap, const unsigned char *bytes, int len,
                        sqlite3_int64 offset);

/* Writes everything that is delayed: an SQLite code. After a failure all of it stays delayed. */
int epio__sqlite_write_delayed(epio__sqlite_overlap *overlap);

/* Puts what is delayed of a range over the bytes that were read: true if that is all of it. */
bool epio__sqlite_read_delayed(const epio__sqlite_overlap *overlap, unsigned char *bytes, int len,
                               sqlite3_int64 offset);

/* Where the file will end at least; 0: nothing is delayed. */
sqlite3_int64 epio__sqlite_delayed_end(const epio__sqlite_overlap *overlap);

/* Forgets what is delayed from `size` on. */
void epio__sqlite_cut_delayed(epio__sqlite_overlap *overlap, sqlite3_int64 size);

void epio__sqlite_free_delayed(epio__sqlite_delayed *delayed);

/* ---- vfs_ahead.c ---- */

/* xRead, from what was read ahead or, after some reads in sequence, reading ahead. */
int epio__sqlite_read_ahead(epio__sqlite_overlap *overlap, unsigned char *bytes, int len,
                            sqlite3_int64 offset);

/* The file, or this part of it, may change. */
void epio__sqlite_forget_ahead(epio__sqlite_overlap *overlap);
void epio__sqlite_forget_range(epio__sqlite_overlap *overlap, int len, sqlite3_int64 offset);

/* Reads this range ahead, if it is not too long. */
void epio__sqlite_read_range_ahead(epio__sqlite_overlap *overlap, sqlite3_int64 offset,
                                   sqlite3_int64 len);

void epio__sqlite_free_ahead(epio__sqlite_overlap *overlap);

/* ---- vfs_together.c ---- */

typedef struct epio__sqlite_together epio__sqlite_together;

/* NULL: no memory, or the VFS has no loop, so that writes go one after the other. */
epio__sqlite_together *epio__sqlite_together_create(epio_vfs *vfs);
void epio__sqlite_together_destroy(epio__sqlite_together *together);

/* Writes these extents of the file, all in flight at once, and waits for all: an SQLite code, of
 * the first that failed. */
int epio__sqlite_write_together(epio__sqlite_overlap *overlap, const epio__sqlite_extent *extents,
                                int count);

#endif
