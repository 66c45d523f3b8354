// A Vulkan driver in front of another one, for tests/kernels: asks the driver for the statistics of every compute pipeline and
// appends them to a file; and, where the driver has no hardware, gives what wgpu needs to open a device: memory types, and
// fences and semaphores that are signalled at once. Nothing is executed then.
//
//   cc -O1 -shared -fPIC -fvisibility=hidden -o libvulkan_shim.so vulkan_shim.c -ldl -lpthread
//
//   SHIM_DRIVER      the driver's library, as the loader's JSON files name it
//   SHIM_STATISTICS  one line a pipeline: a JSON list with an object for each program that the driver made of it
//   SHIM_NULL=1      the driver has no hardware and no memory
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vulkan/vulkan.h>

#define EXPORT __attribute__((visibility("default")))

static PFN_vkGetInstanceProcAddr driver, physical;
static PFN_vkGetDeviceProcAddr of_device;
static VkInstance instance;
static VkDevice device;
static int no_hardware;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *library;

static void load(void) {
  if (driver) return;
  library = dlopen(getenv("SHIM_DRIVER"), RTLD_NOW | RTLD_LOCAL);
  if (!library) {
    fprintf(stderr, "Cannot load the driver of SHIM_DRIVER: %s\n", dlerror());
    abort();
  }
  driver = (PFN_vkGetInstanceProcAddr)dlsym(library, "vk_icdGetInstanceProcAddr");
  physical = (PFN_vkGetInstanceProcAddr)dlsym(library, "vk_icdGetPhysicalDeviceProcAddr");
  no_hardware = getenv("SHIM_NULL") != 0;
}

static PFN_vkVoidFunction find(const char *name) {
  PFN_vkVoidFunction f = of_device && device ? of_device(device, name) : 0;
  return f ? f : driver(instance, name);
}
#define DRIVER(name) ((PFN_##name)driver(instance, #name))
#define DEVICE(name) ((PFN_##name)find(#name))

static VkResult create_instance(const VkInstanceCreateInfo *info, const VkAllocationCallbacks *a, VkInstance *out) {
  VkResult r = ((PFN_vkCreateInstance)driver(0, "vkCreateInstance"))(info, a, out);
  if (!r) instance = *out;
  return r;
}

static VkResult create_device(VkPhysicalDevice p, const VkDeviceCreateInfo *given, const VkAllocationCallbacks *a, VkDevice *out) {
  static const char *statistics = "VK_KHR_pipeline_executable_properties";
  VkDeviceCreateInfo info = *given;
  const char **names = calloc(info.enabledExtensionCount + 1, sizeof *names);
  int asked = 0;
  for (uint32_t i = 0; i < info.enabledExtensionCount; i++) {
    names[i] = info.ppEnabledExtensionNames[i];
    asked |= !strcmp(names[i], statistics);
  }
  VkPhysicalDevicePipelineExecutablePropertiesFeaturesKHR feature = {
      .sType = VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PIPELINE_EXECUTABLE_PROPERTIES_FEATURES_KHR,
      .pNext = (void *)info.pNext,
      .pipelineExecutableInfo = VK_TRUE,
  };
  if (!asked) {
    names[info.enabledExtensionCount++] = statistics;
    info.pNext = &feature;
  }
  info.ppEnabledExtensionNames = names;
  VkResult r = DRIVER(vkCreateDevice)(p, &info, a, out);
  free(names);
  if (r) return r;
  device = *out;
  of_device = DRIVER(vkGetDeviceProcAddr);
  return r;
}

// Statistics.

static void print_name(FILE *f, const char *name) {
  fputc('"', f);
  for (; *name; name++) {
    if (*name == '"' || *name == '\\') fputc('\\', f);
    fputc(*name, f);
  }
  fputc('"', f);
}

static void print_executable(FILE *f, VkPipeline pipeline, uint32_t index, const VkPipelineExecutablePropertiesKHR *of) {
  VkPipelineExecutableInfoKHR info = {
      .sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_INFO_KHR, .pipeline = pipeline, .executableIndex = index};
  uint32_t count = 0;
  DEVICE(vkGetPipelineExecutableStatisticsKHR)(device, &info, &count, 0);
  VkPipelineExecutableStatisticKHR *all = calloc(count, sizeof *all);
  for (uint32_t i = 0; i < count; i++) all[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_STATISTIC_KHR;
  DEVICE(vkGetPipelineExecutableStatisticsKHR)(device, &info, &count, all);
  fputs("{\"name\":", f);
  print_name(f, of->name);
  fprintf(f, ",\"subgroup\":%u", of->subgroupSize);
  for (uint32_t i = 0; i < count; i++) {
    fputc(',', f);
    print_name(f, all[i].name);
    switch (all[i].format) {
      case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_BOOL32_KHR: fprintf(f, ":%u", all[i].value.b32); break;
      case VK_PIPELINE_EXECUTABLE_STATISTIC_FORMAT_FLOAT64_KHR: fprintf(f, ":%g", all[i].value.f64); break;
      default: fprintf(f, ":%lld", (long long)all[i].value.i64);
    }
  }
  fputc('}', f);
  free(all);
}

static void print_statistics(VkPipeline pipeline) {
  enum { MOST = 8 };
  VkPipelineInfoKHR info = {.sType = VK_STRUCTURE_TYPE_PIPELINE_INFO_KHR, .pipeline = pipeline};
  VkPipelineExecutablePropertiesKHR all[MOST] = {0};
  for (int i = 0; i < MOST; i++) all[i].sType = VK_STRUCTURE_TYPE_PIPELINE_EXECUTABLE_PROPERTIES_KHR;
  uint32_t count = MOST;
  DEVICE(vkGetPipelineExecutablePropertiesKHR)(device, &info, &count, all);
  FILE *f = fopen(getenv("SHIM_STATISTICS"), "a");
  if (!f) return;
  fputc('[', f);
  for (uint32_t i = 0; i < count; i++) {
    if (i) fputc(',', f);
    print_executable(f, pipeline, i, &all[i]);
  }
  fputs("]\n", f);
  fclose(f);
}

static VkResult create_pipelines(VkDevice d, VkPipelineCache cache, uint32_t count, const VkComputePipelineCreateInfo *given,
                                 const VkAllocationCallbacks *a, VkPipeline *out) {
  VkComputePipelineCreateInfo *infos = malloc(count * sizeof *infos);
  memcpy(infos, given, count * sizeof *infos);
  for (uint32_t i = 0; i < count; i++) infos[i].flags |= VK_PIPELINE_CREATE_CAPTURE_STATISTICS_BIT_KHR;
  VkResult r = DEVICE(vkCreateComputePipelines)(d, cache, count, infos, a, out);
  pthread_mutex_lock(&lock);
  for (uint32_t i = 0; !r && i < count; i++) print_statistics(out[i]);
  pthread_mutex_unlock(&lock);
  free(infos);
  return r;
}

// Memory that there is not: two types on one heap.

static void fill_memory(VkPhysicalDeviceMemoryProperties *m) {
  m->memoryHeapCount = 1;
  m->memoryHeaps[0] = (VkMemoryHeap){16ull << 30, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT};
  m->memoryTypeCount = 2;
  m->memoryTypes[0] = (VkMemoryType){VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, 0};
  m->memoryTypes[1] = (VkMemoryType){VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT | VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT |
                                         VK_MEMORY_PROPERTY_HOST_COHERENT_BIT | VK_MEMORY_PROPERTY_HOST_CACHED_BIT, 0};
}
static void memory(VkPhysicalDevice p, VkPhysicalDeviceMemoryProperties *m) {
  DRIVER(vkGetPhysicalDeviceMemoryProperties)(p, m);
  fill_memory(m);
}
static void memory2(VkPhysicalDevice p, VkPhysicalDeviceMemoryProperties2 *m) {
  DRIVER(vkGetPhysicalDeviceMemoryProperties2)(p, m);
  fill_memory(&m->memoryProperties);
  for (VkBaseOutStructure *n = m->pNext; n; n = n->pNext) {
    if (n->sType != VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_MEMORY_BUDGET_PROPERTIES_EXT) continue;
    VkPhysicalDeviceMemoryBudgetPropertiesEXT *budget = (void *)n;
    budget->heapBudget[0] = 16ull << 30;
    budget->heapUsage[0] = 0;
  }
}
static void buffer_needs(VkDevice d, VkBuffer b, VkMemoryRequirements *r) {
  DEVICE(vkGetBufferMemoryRequirements)(d, b, r);
  r->memoryTypeBits = 3;
}
static void buffer_needs2(VkDevice d, const VkBufferMemoryRequirementsInfo2 *i, VkMemoryRequirements2 *r) {
  DEVICE(vkGetBufferMemoryRequirements2)(d, i, r);
  r->memoryRequirements.memoryTypeBits = 3;
}
static void image_needs(VkDevice d, VkImage b, VkMemoryRequirements *r) {
  DEVICE(vkGetImageMemoryRequirements)(d, b, r);
  r->memoryTypeBits = 3;
}
static void image_needs2(VkDevice d, const VkImageMemoryRequirementsInfo2 *i, VkMemoryRequirements2 *r) {
  DEVICE(vkGetImageMemoryRequirements2)(d, i, r);
  r->memoryRequirements.memoryTypeBits = 3;
}

// Work that is done as soon as it is given. A semaphore is its value; a fence is always signalled.

typedef uint64_t Semaphore;
static VkResult done(void) { return VK_SUCCESS; }

static VkResult create_semaphore(VkDevice d, const VkSemaphoreCreateInfo *i, const VkAllocationCallbacks *a, VkSemaphore *out) {
  Semaphore *s = calloc(1, sizeof *s);
  for (const VkBaseInStructure *n = i->pNext; n; n = n->pNext)
    if (n->sType == VK_STRUCTURE_TYPE_SEMAPHORE_TYPE_CREATE_INFO) *s = ((const VkSemaphoreTypeCreateInfo *)n)->initialValue;
  *out = (VkSemaphore)s;
  return VK_SUCCESS;
}
static void destroy_semaphore(VkDevice d, VkSemaphore s, const VkAllocationCallbacks *a) { free((void *)s); }
static VkResult semaphore_value(VkDevice d, VkSemaphore s, uint64_t *value) {
  *value = *(Semaphore *)s;
  return VK_SUCCESS;
}
static VkResult signal_semaphore(VkDevice d, const VkSemaphoreSignalInfo *i) {
  *(Semaphore *)i->semaphore = i->value;
  return VK_SUCCESS;
}
static VkResult create_fence(VkDevice d, const VkFenceCreateInfo *i, const VkAllocationCallbacks *a, VkFence *out) {
  *out = (VkFence)calloc(1, 8);
  return VK_SUCCESS;
}
static void destroy_fence(VkDevice d, VkFence f, const VkAllocationCallbacks *a) { free((void *)f); }

static VkResult submit(VkQueue q, uint32_t count, const VkSubmitInfo *all, VkFence f) {
  for (uint32_t k = 0; k < count; k++) {
    for (const VkBaseInStructure *n = all[k].pNext; n; n = n->pNext) {
      if (n->sType != VK_STRUCTURE_TYPE_TIMELINE_SEMAPHORE_SUBMIT_INFO) continue;
      const VkTimelineSemaphoreSubmitInfo *t = (const void *)n;
      for (uint32_t j = 0; j < t->signalSemaphoreValueCount && j < all[k].signalSemaphoreCount; j++)
        *(Semaphore *)all[k].pSignalSemaphores[j] = t->pSignalSemaphoreValues[j];
    }
  }
  return VK_SUCCESS;
}
static VkResult submit2(VkQueue q, uint32_t count, const VkSubmitInfo2 *all, VkFence f) {
  for (uint32_t k = 0; k < count; k++)
    for (uint32_t j = 0; j < all[k].signalSemaphoreInfoCount; j++)
      *(Semaphore *)all[k].pSignalSemaphoreInfos[j].semaphore = all[k].pSignalSemaphoreInfos[j].value;
  return VK_SUCCESS;
}

// What the loader and wgpu are given instead of the driver's functions.

static PFN_vkVoidFunction device_function(VkDevice, const char *);
static PFN_vkVoidFunction instance_function(VkInstance, const char *);

typedef struct { const char *name; void *function; } Replacement;
static const Replacement always[] = {
    {"vkGetInstanceProcAddr", instance_function},
    {"vkGetDeviceProcAddr", device_function},
    {"vkCreateInstance", create_instance},
    {"vkCreateDevice", create_device},
    {"vkCreateComputePipelines", create_pipelines},
    {0},
};
static const Replacement without_hardware[] = {
    {"vkGetPhysicalDeviceMemoryProperties", memory},
    {"vkGetPhysicalDeviceMemoryProperties2", memory2},
    {"vkGetPhysicalDeviceMemoryProperties2KHR", memory2},
    {"vkGetBufferMemoryRequirements", buffer_needs},
    {"vkGetBufferMemoryRequirements2", buffer_needs2},
    {"vkGetBufferMemoryRequirements2KHR", buffer_needs2},
    {"vkGetImageMemoryRequirements", image_needs},
    {"vkGetImageMemoryRequirements2", image_needs2},
    {"vkGetImageMemoryRequirements2KHR", image_needs2},
    {"vkCreateSemaphore", create_semaphore},
    {"vkDestroySemaphore", destroy_semaphore},
    {"vkGetSemaphoreCounterValue", semaphore_value},
    {"vkGetSemaphoreCounterValueKHR", semaphore_value},
    {"vkWaitSemaphores", done},
    {"vkWaitSemaphoresKHR", done},
    {"vkSignalSemaphore", signal_semaphore},
    {"vkSignalSemaphoreKHR", signal_semaphore},
    {"vkCreateFence", create_fence},
    {"vkDestroyFence", destroy_fence},
    {"vkGetFenceStatus", done},
    {"vkResetFences", done},
    {"vkWaitForFences", done},
    {"vkQueueSubmit", submit},
    {"vkQueueSubmit2", submit2},
    {"vkQueueSubmit2KHR", submit2},
    {"vkQueueWaitIdle", done},
    {"vkDeviceWaitIdle", done},
    {"vkBeginCommandBuffer", done},
    {"vkEndCommandBuffer", done},
    {"vkResetCommandBuffer", done},
    {"vkResetCommandPool", done},
    {"vkGetQueryPoolResults", done},
    {"vkResetQueryPool", done},
    {0},
};

static PFN_vkVoidFunction in(const Replacement *r, const char *name) {
  for (; r->name; r++)
    if (!strcmp(r->name, name)) return (PFN_vkVoidFunction)r->function;
  return 0;
}
static PFN_vkVoidFunction replaced(const char *name, PFN_vkVoidFunction original) {
  PFN_vkVoidFunction f = in(always, name);
  if (!f && no_hardware) f = strncmp(name, "vkCmd", 5) ? in(without_hardware, name) : (PFN_vkVoidFunction)done;
  return f ? f : original;
}
static PFN_vkVoidFunction device_function(VkDevice d, const char *name) {
  if (!of_device) of_device = DRIVER(vkGetDeviceProcAddr);
  PFN_vkVoidFunction f = of_device(d, name);
  return f ? replaced(name, f) : 0;
}
static PFN_vkVoidFunction instance_function(VkInstance i, const char *name) {
  load();
  PFN_vkVoidFunction f = driver(i, name);
  return f || !strcmp(name, "vkGetInstanceProcAddr") ? replaced(name, f) : 0;
}

EXPORT VkResult vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version) {
  load();
  VkResult (*negotiate)(uint32_t *) = dlsym(library, "vk_icdNegotiateLoaderICDInterfaceVersion");
  return negotiate ? negotiate(version) : VK_SUCCESS;
}
EXPORT PFN_vkVoidFunction vk_icdGetInstanceProcAddr(VkInstance i, const char *name) { return instance_function(i, name); }
EXPORT PFN_vkVoidFunction vk_icdGetPhysicalDeviceProcAddr(VkInstance i, const char *name) {
  load();
  PFN_vkVoidFunction f = physical ? physical(i, name) : 0;
  return f ? replaced(name, f) : 0;
}
