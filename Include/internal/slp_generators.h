/* The builtin generator types, taught about tasklets. */
#ifndef SLP_GENERATORS_H
#define SLP_GENERATORS_H

/* Set our slots in the generator types, once per process, before there are tasklets. */
void slp_generators_init(void);

#endif
