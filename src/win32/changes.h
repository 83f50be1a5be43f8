/* The events of a watch from what the system reports of its directory. */
#ifndef EPIO_CHANGES_H
#define EPIO_CHANGES_H

#include "win32/win32.h"

typedef struct epio__changes {
    epio__watch *watch;
    HANDLE directory;
    bool extended;            /* the records are FILE_NOTIFY_EXTENDED_INFORMATION */
    const uint32_t *gathered; /* atomic; how many answers of the system there have been */
    WCHAR *old_name;          /* of a rename whose new name is still to come; NULL: none */
    uint32_t old_type;
    struct epio__announced *announced; /* what may have been announced too late */
} epio__changes;

/* Reports what the records of one answer say, of which this is the number-th. One thread at a time.
 */
void epio__changes_report(epio__changes *changes, uint32_t number, const unsigned char *records,
                          size_t len);
/* Reports that events were lost. */
void epio__changes_report_loss(epio__changes *changes);
void epio__changes_drop(epio__changes *changes);

#endif
