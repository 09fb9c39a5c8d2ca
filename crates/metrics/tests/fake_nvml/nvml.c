/* A stand-in for NVIDIA's management library: GPUs of constant power whose counters tick on the monotonic clock.
 *
 * Compile-time switches: GPUS (how many), WATTS (of GPU 0; each further one draws that much more), TICK_MS (of the
 * counter), LOST_AFTER (energy readings of GPU 0 until it falls off the bus), NO_COUNTER, NO_POWER, NO_DRIVER,
 * NO_PERMISSION, SHUT (the index of one GPU that may not be opened), MIG, MAJOR and MINOR (compute capability). Return codes are those of nvml.h.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#ifndef GPUS
#define GPUS 1
#endif
#ifndef WATTS
#define WATTS 250
#endif
#ifndef TICK_MS
#define TICK_MS 20
#endif
#ifndef MAJOR
#define MAJOR 9
#define MINOR 0
#endif

enum { OK = 0, INVALID = 2, UNSUPPORTED = 3, PERMISSION = 4, DRIVER = 9, LOST = 15 };
typedef struct { unsigned gpu, memory; } Utilization;
typedef struct { unsigned version; unsigned long long total, reserved, unused, used; } Memory;

static unsigned numbers[GPUS];
static int initialised, energy_reads;

static unsigned index_of(void *device) { return *(unsigned *)device; }
static int text(char *to, unsigned length, const char *format, unsigned number) {
  snprintf(to, length, format, number);
  return OK;
}

int nvmlInit_v2(void) {
#ifdef NO_DRIVER
  return DRIVER;
#endif
  for (unsigned i = 0; i < GPUS; i++) numbers[i] = i;
  initialised++;
  return OK;
}
int nvmlShutdown(void) { initialised--; return OK; }
const char *nvmlErrorString(int code) { return code ? "failed" : "fine"; }
int nvmlSystemGetDriverVersion(char *version, unsigned length) { return text(version, length, "999.%02u", 1); }
int nvmlDeviceGetCount_v2(unsigned *count) { *count = GPUS; return OK; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) {
#ifdef NO_PERMISSION
  return PERMISSION;
#endif
#ifdef SHUT
  if (index == SHUT) return PERMISSION;
#endif
  if (index >= GPUS) return INVALID;
  *device = &numbers[index];
  return OK;
}
int nvmlDeviceGetIndex(void *device, unsigned *index) { *index = index_of(device); return OK; }
int nvmlDeviceGetName(void *device, char *name, unsigned length) {
  return text(name, length, "Fake GPU %u", index_of(device));
}
int nvmlDeviceGetUUID(void *device, char *uuid, unsigned length) {
  return text(uuid, length, "GPU-%08u-fake", index_of(device));
}
int nvmlDeviceGetCudaComputeCapability(void *device, int *major, int *minor) {
  (void)device;
  *major = MAJOR;
  *minor = MINOR;
  return OK;
}
int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
  (void)device;
#ifdef MIG
  *current = *pending = 1;
  return OK;
#else
  (void)current, (void)pending;
  return UNSUPPORTED;
#endif
}
static int lost(void *device) {
#ifdef LOST_AFTER
  return index_of(device) == 0 && energy_reads > LOST_AFTER;
#else
  (void)device;
  return 0;
#endif
}
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *millijoules) {
#ifdef NO_COUNTER
  return UNSUPPORTED;
#endif
  if (index_of(device) == 0) energy_reads++;
  if (lost(device)) return LOST;
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  unsigned long long ms = now.tv_sec * 1000ull + now.tv_nsec / 1000000;
  *millijoules = ms / TICK_MS * TICK_MS * (unsigned long long)(WATTS * (index_of(device) + 1));
  return OK;
}
int nvmlDeviceGetPowerUsage(void *device, unsigned *milliwatts) {
#ifdef NO_POWER
  return UNSUPPORTED;
#endif
  if (lost(device)) return LOST;
  *milliwatts = WATTS * (index_of(device) + 1) * 1000;
  return OK;
}
int nvmlDeviceGetUtilizationRates(void *device, Utilization *rates) {
  (void)device;
  rates->gpu = 87;
  rates->memory = 40;
  return OK;
}
int nvmlDeviceGetMemoryInfo_v2(void *device, Memory *memory) {
  (void)device;
  memory->total = 24ull << 30;
  memory->used = 6ull << 30;
  memory->reserved = 0;
  memory->unused = 18ull << 30;
  return OK;
}
int nvmlDeviceGetTemperature(void *device, unsigned sensor, unsigned *celsius) {
  (void)device, (void)sensor;
  *celsius = 61;
  return OK;
}
