/* A pipe that only wakes its reader, where there is no eventfd. */
#ifndef EPIO_WAKE_PIPE_H
#define EPIO_WAKE_PIPE_H

/* Both ends close-on-exec and non-blocking: 0, EPIO_EMFILE, EPIO_ENOMEM. */
int epio__wake_pipe_open(int ends[2]);
void epio__wake_pipe_close(const int ends[2]);
/* Makes ends[0] readable; preserves errno. Safe in a signal handler. */
void epio__wake_pipe_send(int write_end);
void epio__wake_pipe_drain(int read_end);

#endif
