// Threads of our own, which sleep between runs.
//
// The caller works along, and takes whatever no thread has begun: where all processors are busy with something else, it
// does everything alone and waits for nobody. One caller at a time has the threads; who comes meanwhile does without.
// A forked process starts with none, and makes its own.
#include <atomic>
#include <condition_variable>
#include <mutex>
#include <system_error>
#include <thread>

#include "kernel.hpp"

#ifndef _WIN32
#include <pthread.h>
#endif

namespace {
struct Job {
    void (*task)(void*, int64_t);
    void* context;
    const int64_t n_tasks;
    int64_t helpers_wanted;
    int64_t helpers_at_work = 0;
    std::atomic<int64_t> next{0};

    void work() {
        for (int64_t i; (i = next.fetch_add(1)) < n_tasks;) task(context, i);
    }
};

class Pool {
  public:
    void run(Job& job) {
        std::unique_lock<std::mutex> turn(caller_, std::try_to_lock);
        if (!turn) return job.work();
        {
            std::lock_guard<std::mutex> guard(mutex_);
            while (n_threads_ < job.helpers_wanted && start_thread()) {}
            job_ = &job;
        }
        wake_.notify_all();
        job.work();
        std::unique_lock<std::mutex> lock(mutex_);
        job_ = nullptr;
        done_.wait(lock, [&] { return job.helpers_at_work == 0; });
    }

  private:
    bool start_thread() {
        try {
            std::thread([this] { serve(); }).detach();
        } catch (const std::system_error&) {  // as many as the system allows
            return false;
        }
        n_threads_++;
        return true;
    }

    void serve() {
        std::unique_lock<std::mutex> lock(mutex_);
        for (;;) {
            wake_.wait(lock, [&] { return job_ && job_->helpers_wanted > 0; });
            Job& job = *job_;
            job.helpers_wanted--;
            job.helpers_at_work++;
            lock.unlock();
            job.work();
            lock.lock();
            if (--job.helpers_at_work == 0) done_.notify_all();
        }
    }

    std::mutex caller_, mutex_;
    std::condition_variable wake_, done_;
    Job* job_ = nullptr;
    int64_t n_threads_ = 0;
};

// Never deleted: its threads wait in it when the process ends.
Pool* pool = new Pool;

#ifndef _WIN32
const int registered = pthread_atfork(nullptr, nullptr, [] { pool = new Pool; });
#endif
}  // namespace

void run_tasks(void (*task)(void*, int64_t), void* context, int64_t n_tasks, int64_t n_threads) {
    Job job{task, context, n_tasks, (n_threads < n_tasks ? n_threads : n_tasks) - 1};
    if (job.helpers_wanted > 0) {
        pool->run(job);
    } else {
        job.work();
    }
}
