// The arithmetic of attention over one span of keys, and one call for a whole step's.

#include "attention.h"

#include <ATen/Parallel.h>

#include "guard.h"
#include "vector.h"

namespace {

using at::Tensor;

// Queries whose sums fit the registers at once, and vectors of each.
constexpr int QUERIES = 4, VECTORS = 4;
// Values of a head up to which keys are taken in blocks.
constexpr int64_t WIDEST = 256;

// Products of Q queries with each key.
template <int Q, class T>
INLINE void scores_few(const float* queries, const T* keys, int64_t count, int64_t n, int64_t stride, float* out) {
  const int64_t whole = n / LANES * LANES;
  for (int64_t key = 0; key < count; ++key, keys += n) {
    Lanes sums[Q] = {}, one, other;
    for (int64_t i = 0; i < whole; i += LANES) {
      ask_ahead(keys + i);
      load(keys + i, one);
      for (int query = 0; query < Q; ++query) {
        load(queries + query * n + i, other);
        sums[query] += one * other;
      }
    }
    for (int query = 0; query < Q; ++query) {
      float sum = total(sums[query]);
      for (int64_t i = whole; i < n; ++i) sum += queries[query * n + i] * static_cast<float>(keys[i]);
      out[query * stride + key] = sum;
    }
  }
}

// Products of one query with sixteen keys.
INLINE void scores_block(const float* query, const float* keys, int64_t n, float* out) {
  Lanes sums[LANES] = {}, one, other;
  for (int64_t i = 0; i < n; i += LANES) {
    load(query + i, other);
    for (int64_t key = 0; key < LANES; ++key) {
      load(keys + key * n + i, one);
      sums[key] += one * other;
    }
  }
  totals(sums);
  std::memcpy(out, sums, sizeof sums[0]);
}

// Values of a block of keys in single precision.
template <class T>
INLINE const float* widened(const T* block, int64_t values, float* room) {
  if constexpr (std::is_same_v<T, float>) return block;
  Lanes one;
  for (int64_t i = 0; i < values; i += LANES) {
    load(block + i, one);
    std::memcpy(room + i, &one, sizeof one);
  }
  return room;
}

// As above, by blocks of keys where they are whole vectors; the block after is asked for meanwhile.
template <int Q, class T>
INLINE void scores_blocks(const float* queries, const T* keys, int64_t count, int64_t n, int64_t stride, float* out) {
  float room[LANES * WIDEST];
  int64_t key = 0;
  for (; n % LANES == 0 && n <= WIDEST && key + LANES <= count; key += LANES) {
    const T* block = keys + key * n;
    for (int64_t i = 0; i < LANES * n; i += 64 / sizeof(T)) __builtin_prefetch(block + LANES * n + i);
    const float* wide = widened(block, LANES * n, room);
    for (int query = 0; query < Q; ++query) scores_block(queries + query * n, wide, n, out + query * stride + key);
  }
  scores_few<Q>(queries, keys + key * n, count - key, n, stride, out + key);
}

// Adds the weighted values of V vectors of each value to Q sums, which stay in registers meanwhile.
template <int Q, int V, class T>
INLINE void mix_block(const float* weights, const T* values, int64_t count, int64_t n, int64_t stride, float* out) {
  Lanes sums[Q][V], one;
  for (int query = 0; query < Q; ++query) {
    for (int part = 0; part < V; ++part) load(out + query * n + part * LANES, sums[query][part]);
  }
  for (int64_t key = 0; key < count; ++key, values += n) {
    for (int part = 0; part < V; ++part) {
      ask_ahead(values + part * LANES);
      load(values + part * LANES, one);
      for (int query = 0; query < Q; ++query) sums[query][part] += weights[query * stride + key] * one;
    }
  }
  for (int query = 0; query < Q; ++query) {
    for (int part = 0; part < V; ++part) std::memcpy(out + query * n + part * LANES, &sums[query][part], sizeof one);
  }
}

template <int Q, class T>
INLINE void mix_few(const float* weights, const T* values, int64_t count, int64_t n, int64_t stride, float* out) {
  int64_t i = 0;
  for (; i + VECTORS * LANES <= n; i += VECTORS * LANES) {
    mix_block<Q, VECTORS>(weights, values + i, count, n, stride, out + i);
  }
  for (; i + LANES <= n; i += LANES) mix_block<Q, 1>(weights, values + i, count, n, stride, out + i);
  for (; i < n; ++i) {
    for (int query = 0; query < Q; ++query) {
      float sum = out[query * n + i];
      for (int64_t key = 0; key < count; ++key) sum += weights[query * stride + key] * static_cast<float>(values[key * n + i]);
      out[query * n + i] = sum;
    }
  }
}

}  // namespace

#define FOR_QUERIES(Q, NAME, T)                                                                                           \
  FOR_EACH_CPU static void scores_##NAME##_##Q(const float* q, const T* k, int64_t c, int64_t n, int64_t s, float* out) { \
    scores_blocks<Q>(q, k, c, n, s, out);                                                                                 \
  }                                                                                                                       \
  FOR_EACH_CPU static void mix_##NAME##_##Q(const float* w, const T* v, int64_t c, int64_t n, int64_t s, float* out) {    \
    mix_few<Q>(w, v, c, n, s, out);                                                                                       \
  }
#define FOR_FORMAT(NAME, T)                                                                                               \
  FOR_QUERIES(1, NAME, T)                                                                                                 \
  FOR_QUERIES(2, NAME, T)                                                                                                 \
  FOR_QUERIES(3, NAME, T)                                                                                                 \
  FOR_QUERIES(4, NAME, T)                                                                                                 \
  void scores_of(const float* q, int64_t g, const T* k, int64_t c, int64_t n, int64_t s, float* out) {                    \
    constexpr decltype(&scores_##NAME##_1) BY_QUERIES[] = {scores_##NAME##_1, scores_##NAME##_2, scores_##NAME##_3,       \
                                                           scores_##NAME##_4};                                            \
    for (int64_t i = 0; i < g; i += QUERIES) {                                                                            \
      BY_QUERIES[std::min<int64_t>(g - i, QUERIES) - 1](q + i * n, k, c, n, s, out + i * s);                              \
    }                                                                                                                     \
  }                                                                                                                       \
  void mix_of(const float* w, int64_t g, const T* v, int64_t c, int64_t n, int64_t s, float* out) {                       \
    constexpr decltype(&mix_##NAME##_1) BY_QUERIES[] = {mix_##NAME##_1, mix_##NAME##_2, mix_##NAME##_3, mix_##NAME##_4};  \
    for (int64_t i = 0; i < g; i += QUERIES) {                                                                            \
      BY_QUERIES[std::min<int64_t>(g - i, QUERIES) - 1](w + i * s, v, c, n, s, out + i * n);                              \
    }                                                                                                                     \
  }
FOR_FORMAT(float, float)
FOR_FORMAT(bf16, at::BFloat16)
FOR_FORMAT(half, at::Half)

// As `power`, of sixteen at once: the compiler does not find that by itself in wide enough vectors.
INLINE void powers(Lanes& x) {
  const Lanes least = Lanes{} - 87.0f, bounded = x > least ? x : least;
  const Lanes rounder = Lanes{} + 12582912.0f;
  const Lanes whole = (bounded * 1.44269504f + rounder) - rounder;
  const Lanes rest = (bounded - whole * 0.693145752f) - whole * 1.42860677e-6f;
  Lanes sum = rest * 1.98756915e-4f + 1.39819995e-3f;
  sum = sum * rest + 8.33345205e-3f;
  sum = sum * rest + 4.16657962e-2f;
  sum = sum * rest + 1.66666656e-1f;
  sum = sum * rest + 5.0e-1f;
  sum = sum * rest * rest + rest + 1.0f;
  typedef int32_t Wholes __attribute__((vector_size(64)));
  const Wholes bits = (__builtin_convertvector(whole, Wholes) + 127) << 23;
  Lanes scale;
  std::memcpy(&scale, &bits, sizeof scale);
  x = x < least ? Lanes{} : sum * scale;
}

FOR_EACH_CPU void soften(float* one, int64_t count, float* peak, float* sum) {
  const int64_t whole = count / LANES * LANES;
  float largest = -std::numeric_limits<float>::infinity();
  Lanes lanes, most = Lanes{} + largest, all = {};
  for (int64_t key = 0; key < whole; key += LANES) {
    load(one + key, lanes);
    most = lanes > most ? lanes : most;
  }
  for (int64_t lane = 0; lane < LANES; ++lane) largest = std::max(largest, most[lane]);
  for (int64_t key = whole; key < count; ++key) largest = std::max(largest, one[key]);
  const float from = std::isinf(largest) ? 0.0f : largest;
  for (int64_t key = 0; key < whole; key += LANES) {
    load(one + key, lanes);
    lanes -= from;
    powers(lanes);
    all += lanes;
    std::memcpy(one + key, &lanes, sizeof lanes);
  }
  float added = total(all);
  for (int64_t key = whole; key < count; ++key) {
    one[key] = power(one[key] - from);
    added += one[key];
  }
  *peak = largest;
  *sum = added;
}

namespace {

template <class T>
Tensor attend(const Attend& of, const Tensor& queries, const Tensor& keys, const Tensor& values, const Tensor* mask,
              const Tensor* sinks) {
  auto out = at::empty({of.rows, of.heads * of.width}, queries.options());
  const int64_t tasks = of.tasks(), group = of.group(), each = group * of.width;
  std::vector<float> peak(tasks * group), sum(tasks * group), mixed(tasks * each), asked(of.rows * of.heads * of.width);
  const T* given = queries.const_data_ptr<T>();
  for (size_t i = 0; i < asked.size(); ++i) asked[i] = static_cast<float>(given[i]) * of.scale;
  const T* hidden = mask == nullptr ? nullptr : mask->const_data_ptr<T>();
  // A short row is done before another thread has woken.
  const int64_t grain = of.count * of.kv_heads * of.rows < 512 ? tasks : 1;
  at::parallel_for(0, tasks, grain, [&](int64_t begin, int64_t end) {
    Scratch scratch;
    for (int64_t task = begin; task < end; ++task) {
      attend_span(of, task, &asked[task / of.spans() * each], keys.const_data_ptr<T>(), values.const_data_ptr<T>(), hidden,
                  scratch, &peak[task * group], &sum[task * group], &mixed[task * each]);
    }
  });
  const T* sunk = sinks == nullptr ? nullptr : sinks->const_data_ptr<T>();
  Scratch scratch;
  for (int64_t query = 0; query < of.rows * of.heads; ++query) {
    const float sink = sunk == nullptr ? 0.0f : static_cast<float>(sunk[query % of.heads]);
    join_spans(of, query, sunk == nullptr ? nullptr : &sink, peak.data(), sum.data(), mixed.data(), scratch,
               out.template mutable_data_ptr<T>() + query * of.width);
  }
  return out;
}

}  // namespace

extern "C" {

Tensor* ai_energy_attend(const Tensor* queries, const Tensor* keys, const Tensor* values, const Tensor* mask,
                         const Tensor* sinks, int64_t first, int64_t count, double scale, double cap, char** error) {
  return guarded(error, [&] {
    for (const Tensor* tensor : {queries, keys, values, mask, sinks}) check_step(tensor, *queries);
    const int64_t rows = keys->size(0), width = keys->size(3);
    const Attend of{rows, queries->numel() / rows / width, keys->size(1), width, keys->size(2), first, count,
                    static_cast<float>(scale), static_cast<float>(cap)};
    TORCH_CHECK(first >= 0 && count > 0 && first + count <= of.capacity, "there are no such places in the cache");
    TORCH_CHECK(of.heads % of.kv_heads == 0, "heads do not share keys evenly");
    TORCH_CHECK(mask == nullptr || mask->numel() == rows * of.capacity, "a mask must cover the cache");
    switch (queries->scalar_type()) {
      case at::kFloat:
        return attend<float>(of, *queries, *keys, *values, mask, sinks);
      case at::kBFloat16:
        return attend<at::BFloat16>(of, *queries, *keys, *values, mask, sinks);
      default:
        return attend<at::Half>(of, *queries, *keys, *values, mask, sinks);
    }
  });
}

}  // extern "C"
