// The arithmetic of attention over one span of keys, and one call for a whole step's.

#include "attention.h"

#include <ATen/Parallel.h>

#include "guard.h"
#include "vector.h"

namespace {

using at::Tensor;

// Queries whose sums fit the registers at once.
constexpr int QUERIES = 4;

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

// Products of Q queries, dealt, with sixteen keys: a key is widened in registers, once for all of them.
template <int Q, class T>
INLINE void scores_block(const float* queries, const T* keys, int64_t n, int64_t stride, float* out) {
  Lanes sums[Q][LANES];
  for (int64_t key = 0; key < LANES; ++key, keys += n) {
    Lanes of[Q] = {}, one[2], in[2];
    for (int64_t i = 0; i < n; i += DEAL) {
      __builtin_prefetch(keys + LANES * n + i);
      if (sizeof(T) == 4) __builtin_prefetch(keys + LANES * n + i + LANES);
      load_dealt(keys + i, one[0], one[1]);
      for (int query = 0; query < Q; ++query) {
        load_dealt(queries + query * n + i, in[0], in[1]);
        of[query] += one[0] * in[0];
        of[query] += one[1] * in[1];
      }
    }
    for (int query = 0; query < Q; ++query) sums[query][key] = of[query];
  }
  for (int query = 0; query < Q; ++query) {
    totals(sums[query]);
    std::memcpy(out + query * stride, sums[query], sizeof sums[query][0]);
  }
}

// As above, by blocks of keys where they are whole deals; the block after is asked for meanwhile.
template <int Q, class T>
INLINE void scores_blocks(const float* queries, const T* keys, int64_t count, int64_t n, int64_t stride, float* out) {
  int64_t key = 0;
  if (n % DEAL == 0 && count >= LANES) {
    thread_local std::vector<float> room;
    const float* dealt = deal<T>(queries, Q, n, room);
    for (; key + LANES <= count; key += LANES) scores_block<Q>(dealt, keys + key * n, n, stride, out + key);
  }
  scores_few<Q>(queries, keys + key * n, count - key, n, stride, out + key);
}

// Adds the weighted values of D deals of each value to Q sums, which stay in registers meanwhile.
template <int Q, int D, class T>
INLINE void mix_deals(const float* weights, const T* values, int64_t count, int64_t n, int64_t stride, float* out) {
  Lanes sums[Q][2 * D], one[2];
  float plain[DEAL];
  for (int query = 0; query < Q; ++query) {
    for (int part = 0; part < D; ++part) {
      deal_one<T>(out + query * n + part * DEAL, plain);
      load_dealt(plain, sums[query][2 * part], sums[query][2 * part + 1]);
    }
  }
  for (int64_t key = 0; key < count; ++key, values += n) {
    for (int part = 0; part < D; ++part) {
      ask_ahead(values + part * DEAL);
      if (sizeof(T) == 4) ask_ahead(values + part * DEAL + LANES);
      load_dealt(values + part * DEAL, one[0], one[1]);
      for (int query = 0; query < Q; ++query) {
        sums[query][2 * part] += weights[query * stride + key] * one[0];
        sums[query][2 * part + 1] += weights[query * stride + key] * one[1];
      }
    }
  }
  for (int query = 0; query < Q; ++query) {
    for (int part = 0; part < D; ++part) {
      std::memcpy(plain, &sums[query][2 * part], sizeof plain);
      gather_one<T>(plain, out + query * n + part * DEAL);
    }
  }
}

template <int Q, class T>
INLINE void mix_few(const float* weights, const T* values, int64_t count, int64_t n, int64_t stride, float* out) {
  int64_t i = 0;
  for (; i + 2 * DEAL <= n; i += 2 * DEAL) mix_deals<Q, 2>(weights, values + i, count, n, stride, out + i);
  for (; i + DEAL <= n; i += DEAL) mix_deals<Q, 1>(weights, values + i, count, n, stride, out + i);
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
