/* Stands in for librocm_smi64: constant power, an energy accumulator in steps of 15.259 µJ, faults by switches. */

#include <stdint.h>
#include <string.h>
#include <time.h>

#ifndef GPUS
#define GPUS 2
#endif
#ifndef NAME
#define NAME "AMD Instinct MI300X"
#endif
#ifndef WATTS
#define WATTS 500
#endif

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

uint32_t rsmi_init(uint64_t flags) {
    (void)flags;
#ifdef INIT_STATUS
    return INIT_STATUS;
#else
    return 0;
#endif
}

uint32_t rsmi_shut_down(void) { return 0; }

uint32_t rsmi_num_monitor_devices(uint32_t *count) {
    *count = GPUS;
    return 0;
}

/* The library's first GPU has the higher address. */
uint32_t rsmi_dev_pci_id_get(uint32_t gpu, uint64_t *id) {
    *id = ((uint64_t)0 << 32) | ((uint64_t)(0x83 - 0x40 * gpu) << 8);
    return 0;
}

uint32_t rsmi_dev_name_get(uint32_t gpu, char *name, size_t length) {
    (void)gpu;
    strncpy(name, NAME, length);
    return 0;
}

static int silent(uint32_t gpu) {
#ifdef SILENT
    return gpu == SILENT;
#else
    (void)gpu;
    return 0;
#endif
}

#ifndef OLD
uint32_t rsmi_dev_energy_count_get(uint32_t gpu, uint64_t *steps, float *resolution, uint64_t *stamp) {
    *resolution = 15.259f;
    *stamp = 0;
    *steps = silent(gpu) ? 0 : (uint64_t)(seconds() * (WATTS + gpu) * 1e6 / 15.259);
    return 0;
}

uint32_t rsmi_dev_current_socket_power_get(uint32_t gpu, uint64_t *microwatts) {
    *microwatts = silent(gpu) ? 0 : (uint64_t)(WATTS + gpu) * 1000000;
    return 0;
}
#endif

uint32_t rsmi_dev_power_ave_get(uint32_t gpu, uint32_t sensor, uint64_t *microwatts) {
    if (sensor != 0) return 1;
    *microwatts = silent(gpu) ? 0 : (uint64_t)(WATTS + gpu) * 1000000;
    return 0;
}
